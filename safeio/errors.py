"""Errors for users: caused by their command, file or setting, and explained by the message without a traceback."""

from __future__ import annotations

import os

OF_A_CPU = "DefaultCPUAllocator: "
"""Beginning of PyTorch's message where a computer's memory does not suffice; that of a GPU has a class of its own."""


class UserError(Exception):
    """Base beside a built-in one (`class PlanError(UserError, ValueError)`); train.py prints the message alone."""


class MissingFile(UserError, FileNotFoundError):
    """A file or folder that was named is not there; the message says what was looked for."""


class WrongChoice(UserError, ValueError):
    """An option or value does not fit the data or the runs; the message names both."""


class MissingPackage(UserError, ModuleNotFoundError):
    """An optional package is not installed; the message says how to get it."""


class NoNumber(UserError, FloatingPointError):
    """Losses or scores are infinite or NaN; the message says of which images."""


def for_people(error: BaseException) -> str | None:
    """Return the message for an error from outside the code, such as a full disk; None: show the traceback."""
    of_torch = type(error).__name__ == "OutOfMemoryError" or OF_A_CPU in str(error)
    if of_torch or isinstance(error, MemoryError):
        reason = str(error).rpartition(OF_A_CPU)[2].split(". ")[0] or "out of memory"
        return f"{reason}. A smaller batch needs less: DATALOADER.TRAIN_X.BATCH_SIZE, DATALOADER.TEST.BATCH_SIZE."
    if isinstance(error, FileNotFoundError) and error.filename is None and _working_folder_is_gone():
        return "The working folder is no longer there: change to another one (cd), and give the command again."
    if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno is not None):
        return str(error)  # an error number is the system's answer: full, read-only, not ours, gone, a limit reached
    return None


def _working_folder_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
