"""`mmrl help [COMMAND|METHOD]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmrl.commands import COMMANDS
from runs.command_line import fail
from runs.protocol import methods
from safeio.names import find_name, nearest_name

Split = Callable[[Sequence[str]], tuple[str | None, list[str]]]


def usage() -> str:
    """Return the list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mmrl COMMAND ...\n",
            *lines,
            "\n`mmrl help COMMAND` shows a command's options, `mmrl help METHOD` a method's settings.",
            "Settings are given as KEY=VALUE or KEY VALUE after any command that trains.",
            "\nexample:\n  mmrl train MMRL caltech101_64 --shots 16 --seed 1",
        ]
    )


def explain(words: Sequence[str], split: Split) -> int:
    """Show help on a command or a method; return the exit status."""
    if not words:
        print(usage())
        return 0
    command, left = split(words)
    if command and not left:
        parser = COMMANDS[command].load().make_parser()
        parser.prog = f"mmrl {command}"
        parser.print_help()
        return 0
    if len(words) == 1 and (method := find_name(words[0], methods())) is not None:
        from mmrl.commands.method_help import describe_method

        print(describe_method(method))
        return 0
    group = [name for name in COMMANDS if name.split()[0] == words[0]]
    if group and len(words) == 1:
        print(*(f"  {name:14}  {COMMANDS[name].summary}" for name in group), sep="\n")
        return 0
    near = command or nearest_name(" ".join(words), [*COMMANDS, *methods()])
    hint = f" Did you mean {near}?" if near else " `mmrl help` lists the commands, `mmrl list methods` the methods."
    return fail(f"there is no command or method {' '.join(words)!r}.{hint}")
