"""The sandbox: an environment is a supervisor and its workers, speaking Open Inference V2."""
