"""The workbench's screens: which widgets stand where, and which values they show."""
