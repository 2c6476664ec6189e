"""Copies of the project in which stages run apart from it."""
