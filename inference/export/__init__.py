"""Trained runs as programs for other runtimes."""
