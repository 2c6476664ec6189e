"""The sandbox: one server process an environment, answering the Open Inference Protocol V2."""
