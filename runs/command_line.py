"""Options and settings that commands share, with one spelling and meaning, and defaults in the help."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NoReturn

from runs.protocol import PlanError, find_backbone
from safeio.names import nearest_name
from safeio.old_spellings import present_option

KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)+")
LIKE_A_KEY = re.compile(r"[A-Za-z][\w.+]*")
"""Form of a word before `=` that is meant as a key, though it may be none."""
SETTINGS_OF = {
    "--epochs": "OPTIM.MAX_EPOCH",
    "--lr": "OPTIM.LR",
    "--batch-size": "DATALOADER.TRAIN_X.BATCH_SIZE",
    "--workers": "DATALOADER.NUM_WORKERS",
    "--num-workers": "DATALOADER.NUM_WORKERS",
    "--optimizer": "OPTIM.NAME",
}
"""Options of other programs' trainings, and the settings that say the same here."""
TOP_KEYS = {"DETERMINISTIC", "OUTPUT_DIR", "PRESET", "PROTOCOL", "RESUME", "SEED", "STAGE", "SWEPT", "TASK", "USE_CUDA"}
TOP_KEYS |= {"VERBOSE", "VERSION"}
"""Keys of settings without a section."""


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help that keeps the text's line breaks and shows each option's default, unless that is empty."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, "", argparse.SUPPRESS) or action.default == []:
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)


class CommandParser(argparse.ArgumentParser):
    """A parser whose help shows defaults, whose errors name the nearest option, and that takes options anywhere.

    Args:
        example: a command line that works, shown below the options.
    """

    def __init__(self, *args: object, example: str = "", **kwargs: object):
        kwargs.setdefault("formatter_class", _Help)
        kwargs.setdefault("allow_abbrev", False)
        if example:
            kwargs["epilog"] = f"example:\n  {example}"
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(
            [present_option(word, self._option_string_actions) for word in words], namespace
        )

    def parse_args(self, args=None, namespace=None):
        parsed, left = self.parse_known_intermixed_args(args, namespace)
        if left:
            self.error_unknown(left[0])
        return parsed

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse what is not among an option's choices, and name the nearest."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = nearest_name(str(value), known)
        hint = f"did you mean {near}?" if near else f"it must be one of {', '.join(known)}"
        raise argparse.ArgumentError(action, f"{value} is not known; {hint}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> object:
        """Return an option's value; the error for a word that is no number says what is expected."""
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            if action.type not in (int, float):
                raise
            wanted = "a whole number" if action.type is int else "a number"
            raise argparse.ArgumentError(action, f"{arg_string!r} is not {wanted}") from error

    def error(self, message: str) -> NoReturn:
        """End with an error of one line, after the usage if an argument is missing."""
        if message.startswith("the following arguments are required"):
            self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {message}\n")

    def error_unknown(self, word: str) -> NoReturn:
        """End with the nearest option to a word that no option takes."""
        known = [option for action in self._actions for option in action.option_strings]
        option, hint = word.partition("=")[0], ""
        if near := nearest_name(option, [*SETTINGS_OF, *known]) if word.startswith("-") else None:
            hint = f", did you mean {near}?" if near in known else f": it is a setting, {SETTINGS_OF[near]}=VALUE"
        kind = "option" if word.startswith("-") else "word"
        self.error(f"unknown {kind} {word}{hint}")


def add_output(parser: argparse._ActionsContainer) -> None:
    """Add --output, the folder below which every run has its own."""
    text = "folder in which every run gets a folder of its own; the environment variable OUTPUT sets it too"
    parser.add_argument("--output", type=folder_name, default=output_folder(), metavar="DIR", help=text)


def output_folder() -> Path:
    """Return the folder of all runs where none is named."""
    return Path(os.environ.get("OUTPUT") or "output")


def folder_name(word: str) -> Path:
    """Return the path of a folder that exists or can be created.

    Raises:
        argparse.ArgumentTypeError: the path, or a folder above it, is a file.
    """
    path = Path(word)
    for place in (path, *path.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise argparse.ArgumentTypeError(f"{place} is no folder")
            break
    return path


def add_root(parser: argparse._ActionsContainer) -> None:
    """Add --root, the folder of the datasets."""
    default = os.environ.get("DATA") or "./data"
    text = "folder that holds the datasets' folders; the environment variable DATA sets it too"
    parser.add_argument("--root", default=default, metavar="DIR", help=text)


def add_reuse(parser: argparse._ActionsContainer) -> None:
    """Add --reuse, of equal runs in other protocols' folders."""
    text = "copy a complete run of another protocol if settings, seed and data are the same, instead of training again"
    parser.add_argument("--reuse", action="store_true", help=text)


def add_own_name(parser: argparse._ActionsContainer) -> None:
    """Add --name, of own images."""
    text = "for your own images (dataset folder): their name in run folders and reports (default: the name of --root)"
    parser.add_argument("--name", help=text)


def add_seeds(parser: argparse._ActionsContainer, text: str, default: Sequence[int] | None = None) -> None:
    """Add --seed and --seeds, which are the same option."""
    parser.add_argument("--seed", "--seeds", dest="seeds", type=int, nargs="+", metavar="N", default=default, help=text)


def add_backbone(parser: argparse._ActionsContainer, default: str = "the one of the method's config file") -> None:
    """Add --backbone; the help says which CLIP is used without it."""
    text = f"CLIP to use: a name of `mmrl list backbones`, or the path of its weights (default: {default})"
    parser.add_argument("--backbone", type=backbone_name, metavar="NAME", help=text)


def backbone_name(word: str) -> str:
    """Return a CLIP's name, given in any spelling, or the absolute path of a weights file."""
    return str(Path(word).absolute()) if Path(word).exists() else find_backbone(word)


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        type=device_name,
        metavar="NAME",
        help="cpu, cuda, or cuda:N for GPU N (default: cuda if there is a GPU)",
    )


def device_name(word: str) -> str:
    """Return the name of a device as PyTorch takes it.

    Raises:
        argparse.ArgumentTypeError: it is neither cpu nor cuda.
    """
    if not re.fullmatch(r"cpu|cuda(:\d+)?", word.lower()):
        raise argparse.ArgumentTypeError(f"{word!r} is no device; it must be cpu or cuda")
    return word.lower()


def add_track(parser: argparse._ActionsContainer) -> None:
    """Add --track."""
    parser.add_argument(
        "--track", nargs="+", metavar="NAME", help="where to log losses and accuracies: tensorboard, wandb, mlflow"
    )


def at_least_one(word: str) -> int:
    """Return a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: the word is no such number.
    """
    if not (word.isascii() and word.isdecimal() and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number of at least 1")
    return int(word)


def add_plugins(parser: argparse._ActionsContainer) -> None:
    """Add --plugins, which commands need to use runs of a trainer from a file outside this project."""
    text = "Python file of the trainer, or its folder, if the run was trained with --plugins; may be repeated"
    parser.add_argument("--plugins", action="append", default=[], metavar="PATH", help=text)


def settings_apart(words: Sequence[str], owners: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """Split a command line into words for the parser and settings, so that no option takes a setting for its value.

    A word such as `lr=0.1` counts as a setting too, except right after an option: whoever resolves the settings knows
    the nearest key.

    Args:
        owners: options whose values look like settings themselves, such as --set; all up to the next option is theirs.

    Returns:
        The other words, and KEY, VALUE, KEY, VALUE ... for `KEY VALUE` and `KEY=VALUE` alike.

    Raises:
        PlanError: a key without a value.
    """
    others: list[str] = []
    settings: list[str] = []
    waiting, option, before = iter(words), "", ""
    for word in waiting:
        option = word.partition("=")[0] if word.startswith("--") else option
        key, equals, value = word.partition("=")
        meant = equals and LIKE_A_KEY.fullmatch(key) and not before.startswith("--")
        before = word
        if option in owners or not (meant or _is_key(key)):
            others.append(word)
        elif equals:
            settings += [key, value]
        elif (following := next(waiting, "--")).startswith("--"):
            raise PlanError(f"{key} has no value: settings are given as KEY=VALUE or KEY VALUE.")
        else:
            settings += [key, following]
    return others, settings


def _is_key(word: str) -> bool:
    return word in TOP_KEYS or KEY.fullmatch(word) is not None


def fail(message: object) -> int:
    """Print an error for people; return the exit status of a wrong command line."""
    print(f"error: {message}", file=sys.stderr)
    return 2
