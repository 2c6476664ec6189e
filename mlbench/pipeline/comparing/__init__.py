"""Whether what was rebuilt is what is recorded: by bytes, else by values."""
