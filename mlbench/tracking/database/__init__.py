"""The database of runs: TinyDB's interface and file, made trustworthy and quick."""

from mlbench.tracking.database.database import Database, open_database
from mlbench.tracking.database.documents import decode
from mlbench.tracking.database.table import JournaledTable
from mlbench.tracking.database.tables import Lines

__all__ = ["Database", "JournaledTable", "Lines", "decode", "open_database"]
