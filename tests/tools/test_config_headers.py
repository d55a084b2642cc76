"""The head of every config file names commands that use just that file, and the published results."""

from __future__ import annotations

import shlex

import pytest

from mmrl.commands import COMMANDS
from runs.protocol import CONFIGS, NO_CONFIGS, plan
from tools.config_headers import PUBLISHED, RUN, main, with_header

FILES = [file for file in sorted(CONFIGS.glob("trainers/*/*.yaml")) if file.stem not in NO_CONFIGS]


def test_they_are_up_to_date(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_command_is_one_and_takes_this_file(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix(RUN).partition("   (")[0] for line in lines if line.startswith(RUN)]
    assert commands and len(commands) == sum(line.startswith(PUBLISHED) for line in lines)
    for command in commands:
        program, name, *words = shlex.split(command)
        args = COMMANDS[name].load().make_parser().parse_args(words)
        assert program == "mmrl"
        stage = "train" if name == "train" else args.stage
        method = args.method if name == "train" else args.trainer
        shots = args.shots if name == "train" else 16
        (run,) = plan(args.protocol, stage, method, args.dataset, [1], [shots], args.cfg)
        assert (run.trainer, run.cfg) == (file.parent.name, file.stem)


def test_a_header_stands_behind_the_files_own_words_and_is_replaced():
    once = with_header("# Five epochs.\nBASE: x\n", [f"{RUN}a", f"{PUBLISHED}b"])
    assert once == f"# Five epochs.\n{RUN}a\n{PUBLISHED}b\nBASE: x\n"
    assert with_header(once, [f"{RUN}c"]) == f"# Five epochs.\n{RUN}c\nBASE: x\n"
