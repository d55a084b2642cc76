"""Trainer files of public repositories by --plugins: siblings, settings of their own, names that we have, faults."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from short_runs import PluginRuns

import train
from dassl.engine import TRAINER_REGISTRY
from runs.record import read_record
from trainers.base.plugins import Plugins

HEAD = """
from torch import nn
from torch.nn import functional as F
from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.optim.radam import RAdam
from dassl.engine.trainer import AverageMeter, MetricMeter
"""
TRAINER = """

@TRAINER_REGISTRY.register()
class {name}(TrainerX):
    def check_cfg(self, cfg):
        {check}

    def build_model(self):
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, self.num_classes))
        self.optim = build_optimizer(self.model, self.cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, self.cfg.OPTIM)
        self.register_model("layer", self.model, self.optim, self.sched)

    def forward_backward(self, batch):
        loss = F.cross_entropy(self.model(batch["img"]), batch["label"])
        self.model_backward_and_update(loss)
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        return {{"loss": loss.item()}}
"""
TRAIN_PY = '''
import argparse
import a_package_that_is_not_here
import datasets.imagenet

def extend_cfg(cfg):
    """Add new config variables."""
    from yacs.config import CfgNode as CN

    cfg.TRAINER.COOP = CN()
    cfg.TRAINER.COOP.CTX_INIT = False
    cfg.TRAINER.COOP.PREC = "fp16"
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"
    cfg.LOSS = CN()
    cfg.LOSS.NAME = ""
    cfg.OPTIM_VNET = CN()
    cfg.OPTIM_VNET.LR = 0.1
    cfg.LOSS.BASE, cfg.LOSS.PLAIN = args.enhanced_base, args.plain

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-e", "--enhanced-base", type=str, default="none")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("opts", default=None, nargs=argparse.REMAINDER)
    args = parser.parse_args()
    raise SystemExit(1)
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs train.py with a plugin on eight small images of two colours; returns the exit status."""
    monkeypatch.setattr(TRAINER_REGISTRY, "_objects", dict(TRAINER_REGISTRY._objects))
    own = Plugins()
    monkeypatch.setattr("trainers.base.plugins.PLUGINS", own)
    monkeypatch.setattr("trainers.base.run_settings.PLUGINS", own)
    train_with = PluginRuns(tmp_path, epochs=2)

    def run(plugins: Path, trainer: str, *words: str, config: Path | None = None) -> int:
        return train_with(trainer, "--plugins", str(plugins), *words, config=config)

    yield run
    for name in [name for name in sys.modules if name.startswith("plugins_")]:
        del sys.modules[name]


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_one_file(run, tmp_path):
    write(tmp_path / "their", mine=HEAD + TRAINER.format(name="Mine", check="pass"))
    assert run(tmp_path / "their" / "mine.py", "Mine") == 0
    record = read_record(tmp_path / "out")
    assert record["status"] == "complete" and record["plugins"] == [str(tmp_path / "their" / "mine.py")]


def test_siblings_come_first_and_names_that_we_have_are_theirs(run, tmp_path):
    """A `coop.py` beside a file that imports it in each of the ways that public files do; ours stays as it is."""
    ours = TRAINER_REGISTRY.get("CoOp")
    theirs = write(
        tmp_path / "repository" / "trainers",
        coop="THEIRS = 'their own coop'\n" + HEAD + TRAINER.format(name="CoOp", check="pass"),
        helper="WORD = 'helper'\n",
        sub____init__="",
        sub__tool="WORD = 'tool'\n",
        other=HEAD
        + "from .coop import THEIRS\nfrom trainers.coop import THEIRS as again\nimport trainers.coop\n"
        + "import trainers.coop as by_name\nfrom trainers import helper\nfrom .sub import tool\nimport helper as bare\n"
        + "words = (THEIRS, again, trainers.coop.THEIRS, by_name.THEIRS, helper.WORD, tool.WORD, bare.WORD)\n"
        + "assert words == ('their own coop',) * 4 + ('helper', 'tool', 'helper')\n"
        + TRAINER.format(name="Other", check="pass"),
    )
    assert run(theirs, "Other") == 0
    assert TRAINER_REGISTRY.get("CoOp") is not ours and TRAINER_REGISTRY.get("KgCoOp").__mro__[1] is ours
    import trainers.coop

    assert trainers.coop.CoOp is ours


def test_modules_of_the_repository_are_found_behind_all_others(run, tmp_path):
    """`utils`, without an __init__.py, and `losses` lie above the trainers; they hide nothing that we have."""
    repository = write(
        tmp_path / "repository",
        utils__losses="WORD = 'utils'\n",
        losses="from utils.losses import WORD\nimport utils.losses as again\nBOTH = WORD + again.WORD\n",
        json="raise RuntimeError('hides a module of Python')\n",
        reports__extra="WORD = 'extra'\n",
    )
    theirs = write(
        repository / "trainers",
        parts__layer="WORD = 'layer'\n",
        uses=HEAD
        + "import json\nimport losses\nfrom utils.losses import WORD\nfrom reports.extra import WORD as more\n"
        + "from trainers.parts.layer import WORD as layer\n"
        + "assert (json.loads('1'), losses.BOTH, WORD, more, layer) == (1, 'utils' * 2, 'utils', 'extra', 'layer')\n"
        + TRAINER.format(name="Uses", check="pass"),
    )
    assert run(theirs, "Uses") == 0
    assert "utils" not in sys.modules and "losses" not in sys.modules


def test_settings_by_extend_cfg_of_the_repository(run, tmp_path, capsys):
    """LOSS and OPTIM_VNET are new; COOP.CTX_INIT is a switch there and a text here; other keys stay errors.

    `args`, which some functions read, has the defaults of that train.py's own flags.
    """
    check = 'assert (cfg.TRAINER.COOP.CTX_INIT, cfg.LOSS.NAME, cfg.OPTIM_VNET.LR) == (True, "prograd", 0.5)'
    check += '; assert (cfg.LOSS.BASE, cfg.LOSS.PLAIN) == ("none", False)'
    theirs = write(tmp_path / "repo" / "trainers", prograd=HEAD + TRAINER.format(name="ProGrad", check=check))
    (tmp_path / "repo" / "train.py").write_text(TRAIN_PY)
    config = tmp_path / "theirs.yaml"
    config.write_text(
        (tmp_path / "method.yaml").read_text() + "TRAINER: {COOP: {CTX_INIT: True}}\nLOSS: {NAME: prograd}\n"
    )
    assert run(theirs, "ProGrad", "OPTIM_VNET.LR", "0.5", config=config) == 0
    assert run(theirs, "ProGrad", "LOSS.NAMES", "x", config=config) == 2
    assert "LOSS.NAME" in capsys.readouterr().err
    assert run(theirs, "ProGrad", "TRAINER.MMRL.ALPHA", "1", config=config) == 2


def test_settings_by_extend_cfg_of_the_file(run, tmp_path, capsys):
    """Some take the flags too: what is in them is the trainer's name, and the defaults of a train.py."""
    extend = "\ndef extend_cfg(cfg, args):\n    from yacs.config import CfgNode as CN\n"
    extend += "    cfg.TRAINER.OWN = CN({'A': 1, 'FOR': args.trainer})\n"
    check = "assert (cfg.TRAINER.OWN.A, cfg.TRAINER.OWN.FOR) == (3, 'Own')"
    theirs = write(tmp_path / "x", own=HEAD + TRAINER.format(name="Own", check=check) + extend)
    assert run(theirs, "Own", "TRAINER.OWN.A", "3") == 0
    assert run(theirs, "Own", "TRAINER.OWN.B", "3") == 2 and "TRAINER.OWN.A" in capsys.readouterr().err


def test_one_broken_plugin_is_reported_and_leaves_all_else_alone(run, tmp_path, capsys):
    half = HEAD + TRAINER.format(name="CoOp", check="pass") + "import a_package_that_is_not_here\n"
    theirs = write(tmp_path / "t", bad=half, worse="raise SystemExit(3)\n", syntax="def\n")
    write(theirs, good=HEAD + TRAINER.format(name="Good", check="pass"))
    ours = TRAINER_REGISTRY.get("CoOp")
    assert run(theirs, "Good") == 0
    printed = capsys.readouterr().err
    assert all(f"{name}.py is left out, all else works" in printed for name in ("bad", "worse", "syntax"))
    assert "a_package_that_is_not_here" in printed and TRAINER_REGISTRY.get("CoOp") is ours


def test_a_broken_file_in_trainers_is_reported_once_and_leaves_all_else_alone(tmp_path):
    """In a copy of the project: files of others that fail, exit, and take a name that we have; a copy of ours."""
    project = Path(train.__file__).parent
    shutil.copytree(project / "trainers", tmp_path / "trainers", ignore=shutil.ignore_patterns("__pycache__"))
    for path in project.iterdir():
        if path.name != "trainers" and (path.suffix == ".py" or path.is_dir()) and path.name[0] != ".":
            (tmp_path / path.name).symlink_to(path)
    whole = {name: HEAD + TRAINER.format(name=name, check="pass") for name in ("CoOp", "Good", "Half")}
    write(tmp_path / "trainers", their_half=whole["Half"] + "import a_package_that_is_not_here\n")
    write(tmp_path / "trainers", their_exit="raise SystemExit('--gpu is missing')\n", their_syntax="def\n")
    write(tmp_path / "trainers", a_coop=whole["CoOp"], their_good=whole["Good"])
    shutil.copy(tmp_path / "trainers" / "coop.py", tmp_path / "trainers" / "better_prompts.py")
    shown = "from trainers.base.plugins import TRAINER_REGISTRY as R; print(*(R.get(n) for n in R.registered_names()))"
    done = subprocess.run(
        [sys.executable, "-c", f"import trainers; {shown}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    reports = [line.partition(" is left out, all else works: ")[::2] for line in done.stderr.splitlines()]
    names = ("a_coop", "better_prompts", "their_exit", "their_half", "their_syntax")
    assert sorted(file for file, error in reports if error) == [f"trainers/{name}.py" for name in names]
    assert all(word in done.stderr for word in ("trainers.coop", "--gpu is missing", "a_package_that_is_not_here"))
    assert not any(word in done.stdout for word in (".Half'", "a_coop", "better_prompts"))
    assert all(name in done.stdout for name in ("trainers.coop.CoOp", "trainers.mmrl.MMRL", "their_good.Good"))


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_where_nothing_is_to_be_imported(run, tmp_path, path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / path, "Mine") == 2
    assert f"--plugins {tmp_path / path}: there is no Python file" in capsys.readouterr().err
