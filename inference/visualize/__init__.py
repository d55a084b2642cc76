"""Figures of attention and features."""
