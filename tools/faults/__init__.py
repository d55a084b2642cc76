"""Faults of files, processes and surroundings, for `tools/inject_faults.py`."""
