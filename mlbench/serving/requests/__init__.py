"""What was asked and answered: the request log, labels that come later, and replay."""
