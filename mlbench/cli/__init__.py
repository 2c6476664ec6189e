"""The command line: one small file a command; prints events, or JSON."""
