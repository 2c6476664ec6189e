"""Sweeps: a process of its own asks the study what to try, and runs the stages for it."""
