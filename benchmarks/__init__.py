"""How fast mlbench is, beside others, measured side by side in one run."""
