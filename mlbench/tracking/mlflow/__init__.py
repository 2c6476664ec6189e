"""Reads what MLflow keeps, in folders and in SQLite, without MLflow."""
