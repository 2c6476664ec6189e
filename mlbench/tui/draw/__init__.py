"""What the workbench draws, as pure functions from values to styled text."""
