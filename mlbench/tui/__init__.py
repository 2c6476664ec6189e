"""The workbench: a Textual app that turns what the loop tells into screens."""
