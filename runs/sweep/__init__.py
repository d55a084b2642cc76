"""Sweeps: runs of a grid, executed in the order of their dependencies."""
