"""Bugs put in on purpose, which the suite must notice."""
