"""Runs as data: protocols, plans, records, tables. Needs no torch; a run is a process of train.py."""

from safeio import threads  # noqa: F401  (before torch)
