"""Runs of a grid, handed to executors in dependency order."""
