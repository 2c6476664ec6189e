"""Seeing a save at once, however it is written, and wherever the files lie."""
