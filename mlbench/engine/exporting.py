"""Runs as rows for other programs, as the command and the screen both give them."""

from mlbench.tracking.export import as_plain, columns_of, print_csv, write_runs
from mlbench.tracking.history import History

__all__ = ["History", "as_plain", "columns_of", "print_csv", "write_runs"]
