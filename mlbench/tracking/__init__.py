"""The record: every run kept, found and compared."""
