"""The Open Inference Protocol V2's bodies, whole and pure: bytes to arrays and arrays to bytes."""
