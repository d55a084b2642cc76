"""Runs as data: protocols, plans, records, tables. Needs no torch; a run is a process of train.py."""
