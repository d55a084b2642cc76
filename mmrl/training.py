"""Training by train.py's command line within this process, with its messages in the words of Python."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Collection, Sequence

import train
from safeio.entry import INTERRUPTED
from safeio.errors import UserError

ERROR = re.compile(r"^(?:[^:\n]+: )?error: (.+)", re.MULTILINE | re.DOTALL)
"""Message of a command that fails, in one line or several."""
NOTICE = re.compile(r"^\s*(?:Warning: (.+)|((?:Fewer than|wrapper folder:|not read:|not used:) .+))$", re.MULTILINE)
"""Lines of the log to show to a user who does not see the rest of it."""
WITHOUT_EFFECT = re.compile(r"([\w.]+) changes nothing in ")
ARGUMENTS = {
    "OUTPUT_DIR": "output", "SEED": "seed", "DATASET.NUM_SHOTS": "shots", "OPTIM.MAX_EPOCH": "epochs",
    "MODEL.BACKBONE.NAME": "backbone", "TRAINER.NAME": "method", "DATASET.ROOT": "images", "DATASET.NAME": "images",
}  # fmt: skip
"""Settings that are arguments of `mmrl.fit`."""
OPTIONS = {
    "output-dir": "output", "output": "output", "root": "images", "shots": "shots", "seed": "seed",
    "train-epoch": "epochs", "backbone": "backbone", "device": "device", "plugins": "plugins",
}  # fmt: skip
"""Options of commands and the arguments of Python that do the same."""


class FitError(UserError, RuntimeError):
    """A training that could not be done; the message is train.py's."""


def train_here(words: Sequence[str], settings: Collection[str], verbose: bool) -> None:
    """Run a command line of train.py in this process; what it warns of becomes Python's warnings.

    Args:
        settings: keys that the user gave.
        verbose: print the log, instead of the warnings.

    Raises:
        FitError: it failed; the message is what it said.
        KeyboardInterrupt: it was interrupted.
        SystemExit: the process was asked to end.
    """
    console, errors = (sys.stdout if verbose else io.StringIO()), io.StringIO()
    with contextlib.redirect_stdout(console), contextlib.redirect_stderr(errors):
        try:
            status = train.main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    if status == INTERRUPTED:
        raise KeyboardInterrupt("Interrupted; the same call with output= continues the run.")
    if status > 128:  # by another signal
        raise SystemExit(status)
    if status:
        said = ERROR.search(errors.getvalue())
        raise FitError(in_python(said[1].strip()) if said else f"training ended with status {status}")
    sys.stderr.write(errors.getvalue())
    if isinstance(console, io.StringIO):
        for notice in dict.fromkeys(first or second for first, second in NOTICE.findall(console.getvalue())):
            about = WITHOUT_EFFECT.match(notice)
            if about is None or about[1] in settings:  # published scripts give settings without effect too
                warnings.warn(in_python(notice), stacklevel=3)


def in_python(message: str) -> str:
    """Return a message of a command with Python's arguments in place of options; what is in backticks stays."""
    parts = message.split("`")
    parts[::2] = [_argument(part) for part in parts[::2]]
    return "`".join(parts)


def _argument(text: str) -> str:
    text = text.replace("DATASET.ROOT (--root)", "images").replace("in command line", "in settings")
    text = re.sub(r": DATASET\.ALLOW (\w+)", r': settings={"DATASET.ALLOW": "\1"}', text)
    text = re.sub(r"\b([Gg]ive) OPTIM\.MAX_EPOCH (\d)", r"\1 epochs=\2", text)
    text = text.replace("argument --train-epoch:", "epochs:")
    names = "|".join(sorted(OPTIONS, key=len, reverse=True))
    return re.sub(rf"--({names})(?: (?=[A-Z\d])|\b)", lambda found: f"{OPTIONS[found[1]]}=", text)
