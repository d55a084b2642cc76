"""Errors that are for whoever gave the command, file or setting: the message says all, a traceback nothing more."""

from __future__ import annotations


class Mistake(Exception):
    """Base beside a built-in one (`class PlanError(Mistake, ValueError)`); train.py prints the message alone."""


class MissingFile(Mistake, FileNotFoundError):
    """A file or folder that was named is not there; the message says what was looked for."""
