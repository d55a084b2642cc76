"""Likely mistakes with every command: an exit status and one line that says what to do, never a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from short_runs import Runs

import parse_test_res
import predict
import report
import sweep
import train
from mmrl.__main__ import main as mmrl
from runs import compare, launch

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train.main, "sweep": sweep.main, "report": report.main, "predict": predict.main,
    "parse": parse_test_res.main, "launch": launch.main, "compare": compare.main, "mmrl": mmrl,
    "prepare": lambda words: mmrl(["data", "prepare", *words]), "check": lambda words: mmrl(["data", "check", *words]),
}  # fmt: skip
"""First word of a case -> `main`."""


class Mistake(NamedTuple):
    """Words of a command line (RUN, TMP, IMAGES: folders; below TMP whatever `place` makes), and what is answered."""

    words: str
    status: int
    parts: tuple[str, ...] = ()


SWEEP = [
    Mistake("sweep", 2, ("PROTOCOL",)),
    Mistake("sweep base2now --methods MMRL --datasets dtd", 2, ("'base2now'", "base2new")),
    Mistake("sweep base2new --methods MMLR --datasets dtd", 2, ("MMLR", "MMRL")),
    Mistake("sweep base2new --methods MMRL --datasets dtt", 2, ("dtt", "dtd")),
    Mistake("sweep base2new --methods MMRL --root TMP/nowhere", 2, ("no folder", "caltech-101", "mmrl data prepare")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --seeds one", 2, ("--seed", "'one'")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --shots four", 2, ("--shots", "'four'")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --workers 0", 2, ("--workers", "1")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --only 3/2 --dry-run", 2, ("3/2",)),
    Mistake("sweep base2new --methods MMRL --datasets dtd --only x --dry-run", 2, ("'x'",)),
    Mistake("sweep base2new --methods MMRL --datasets dtd --preset papers --dry-run", 2, ("papers", "paper")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --set OPTIM.LR --dry-run", 2, ("OPTIM.LR",)),
    Mistake("sweep base2new --methods MMRL --datasets dtd --set OPTIM.LRR=1,2 --output TMP/new", 2, ("OPTIM.LR",)),
    Mistake("sweep base2new --methods MMRL --datasets dtd --set OPTIM.LR=x,2 --output TMP/new", 2, ("OPTIM.LR", "x")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --executer ray", 2, ("--executer", "--executor")),
    Mistake("sweep base2new --methods MMRL --datasets dtd --search 0 --range OPTIM.LR=1..2", 2, ("--search",)),
    Mistake("sweep base2new --methods MMRL --datasets dtd --search 2", 2, ("--search",)),
    Mistake("sweep few_shot --methods MMRL --datasets caltech101_64 --seed 1 --shots 1 --search 2 --range OPTIM.LR=2",
            2, ("OPTIM.LR=2",)),
    Mistake("sweep base2new --methods MMRL --datasets caltech101_64 --output TMP/file", 2, ("TMP/file",)),
]  # fmt: skip
REPORT = [
    Mistake("report TMP/nowhere", 2, ("TMP/nowhere",)),
    Mistake("report TMP/empty", 2, ("TMP/empty",)),
    Mistake("report TMP/file", 2, ("TMP/file",)),
    Mistake("report TMP/esc\x1b[31m", 2, ("\\x1b[31m",)),
    Mistake("report TMP/bytes\udce9", 2, ("TMP/bytes",)),
    Mistake("report RUN --format htlm", 2, ("htlm", "html")),
    Mistake("report RUN --methods MMLR", 2, ("MMLR", "CoOp")),
    Mistake("report RUN --datasets dtd", 2, ("dtd",)),
    Mistake("report RUN --preset papers", 2, ("papers",)),
    Mistake("report RUN --seeds many", 2, ("many",)),
    Mistake("report RUN --out TMP/file/report.txt", 2, ("TMP/file",)),
    Mistake("report RUN --out TMP/empty", 2, ("TMP/empty",)),
    Mistake("report RUN --format html --out TMP/empty", 2, ("TMP/empty",)),
    Mistake("report RUN --figures TMP/file", 2, ("nothing to draw",)),
    Mistake("report TMP/record-cut", 2, ("None of the run.json",)),
    Mistake("report TMP/record-digits", 2, ("run.json",)),
    Mistake("report TMP/record-list-for-text", 2, ("run.json",)),
    Mistake("report TMP/record-a-list", 2, ("run.json",)),
    Mistake("report TMP/record-utf-16", 2, ("run.json",)),
    Mistake("report TMP/record-text-accuracy", 2, ("run.json",)),
]
PREDICT = [
    Mistake("predict", 2, ("name images", "folder of a run")),
    Mistake("predict RUN", 2, ("images",)),
    Mistake("predict TMP/nowhere IMAGES", 2, ("no folder", "TMP/nowhere")),
    Mistake("predict TMP/file IMAGES", 2, ("TMP/file",)),
    Mistake("predict TMP/empty IMAGES", 2, ("not a run's folder", "run.json")),
    Mistake("predict TMP/above IMAGES", 2, ("Runs below it", "TMP/above/run")),
    Mistake("predict RUN TMP/nowhere.png", 2, ("TMP/nowhere.png",)),
    Mistake("predict RUN TMP/page.png", 2, ("TMP/page.png",)),
    Mistake("predict RUN TMP/empty", 2, ("No images", "TMP/empty")),
    Mistake("predict RUN IMAGES TMP/page.png", 1, ("skipped", "TMP/page.png")),
    Mistake("predict RUN IMAGES --topk 0", 2, ("--topk", "at least 1")),
    Mistake("predict RUN IMAGES --topk ten", 2, ("'ten'",)),
    Mistake("predict RUN IMAGES --batch-size -1", 2, ("--batch-size", "at least 1")),
    Mistake("predict RUN IMAGES --classes TMP/nowhere.txt", 2, ("TMP/nowhere.txt",)),
    Mistake("predict RUN IMAGES --classes TMP/empty", 2, ("TMP/empty",)),
    Mistake("predict RUN IMAGES --classes TMP/file", 2, ("TMP/file",)),
    Mistake("predict RUN IMAGES --classes TMP/twice.txt", 2, ("TMP/twice.txt", "red square")),
    Mistake("predict RUN IMAGES --classes TMP/utf-16.txt", 2, ("TMP/utf-16.txt", "UTF-8")),
    Mistake("predict RUN IMAGES --device gpu", 2, ("gpu",)),
    Mistake("predict RUN IMAGES --device cuda:99", 2),
    Mistake("predict RUN IMAGES --backbone ViT-B/17", 2, ("ViT-B/17",)),
    Mistake("predict RUN IMAGES --backbone TMP/page.png", 2, ("TMP/page.png",)),
    Mistake("predict RUN IMAGES --csv TMP/file/out.csv", 2, ("TMP/file",)),
    Mistake("predict RUN IMAGES --csv TMP/empty", 2, ("TMP/empty",)),
    Mistake("predict RUN IMAGES --jsn", 2, ("--jsn", "--json")),
    Mistake("predict TMP/weights-cut IMAGES", 2, ("model.pth.tar-1", "truncated")),
    Mistake("predict TMP/weights-a-list IMAGES", 2, ("model.pth.tar-1", "state_dict")),
    Mistake("predict TMP/weights-about IMAGES", 2, ("model.pth.tar-1", "about")),
    Mistake("predict TMP/weights-about-settings IMAGES", 2, ("model.pth.tar-1", "settings")),
    Mistake("predict TMP/weights-number-keys IMAGES", 2, ("model.pth.tar-1", "state_dict")),
    Mistake("predict TMP/weights-text IMAGES", 2, ("model.pth.tar-1",)),
    Mistake("predict TMP/weights-nan IMAGES", 2, ("model.pth.tar-1", "NaN")),
    Mistake("predict TMP/weights-other-shape IMAGES", 2, ("model.pth.tar-1", "size mismatch")),
    Mistake("predict TMP/record-cut IMAGES", 2, ("run.json", "JSON")),
    Mistake("predict TMP/record-a-list IMAGES", 2, ("run.json",)),
    Mistake("predict TMP/record-list-for-text IMAGES", 2, ("run.json", "method")),
    Mistake("predict TMP/record-no-classes IMAGES", 0),
    Mistake("predict TMP/pointer-utf-16 IMAGES", 0, ("WARNING", "checkpoint", "highest epoch")),
]
EVALUATE = [
    Mistake(f"train --eval-only --model-dir {folder}", 1, parts)
    for folder, parts in [
        ("TMP/nowhere", ("TMP/nowhere", "looked for")),
        ("TMP/file", ("TMP/file",)),
        ("TMP/weights-cut", ("model.pth.tar-1", "truncated")),
        ("TMP/weights-a-list", ("model.pth.tar-1", "state_dict")),
        ("TMP/weights-about", ("model.pth.tar-1", "about")),
        ("TMP/weights-about-settings", ("model.pth.tar-1", "settings")),
        ("TMP/weights-number-keys", ("model.pth.tar-1", "state_dict")),
        ("TMP/weights-text", ("model.pth.tar-1",)),
        ("TMP/weights-nan", ("model.pth.tar-1", "NaN")),
        ("TMP/weights-other-shape", ("model.pth.tar-1",)),
    ]
]
TRAIN = [
    Mistake("train OPTIM.MAX_EPOCH 1000000000000000000000000000000", 2, ("OPTIM.MAX_EPOCH",)),
    Mistake("train OPTIM.MAX_EPOCH 1e30", 2, ("OPTIM.MAX_EPOCH",)),
    Mistake("train DATALOADER.TRAIN_X.BATCH_SIZE 99999999999999999999", 2, ("BATCH_SIZE",)),
    Mistake("train DATALOADER.NUM_WORKERS 99999999999999999999", 2, ("NUM_WORKERS",)),
    Mistake("train --seed 99999999999999999999999", 2, ("99999999999999999999999",)),
    Mistake("train INPUT.SIZE (999999999,999999999)", 1, ("INPUT.SIZE",)),
    Mistake("train OPTIM.LR nan", 2, ("OPTIM.LR",)),
    Mistake("train OPTIM.LR None", 2, ("OPTIM.LR", "a number such as")),
    Mistake("train OPTIM.MAX_EPOCH None", 2, ("OPTIM.MAX_EPOCH", "a whole number such as")),
    Mistake("train OPTIM.MAX_EPOCH 99999999999", 2, ("OPTIM.MAX_EPOCH", "at most 2,147,483,647")),
    Mistake(f"train OPTIM.MAX_EPOCH 1{'0' * 400}", 2, ("OPTIM.MAX_EPOCH",)),
    Mistake(f"train OPTIM.WEIGHT_DECAY 1{'0' * 400}", 2, ("OPTIM.WEIGHT_DECAY",)),
    Mistake("train INPUT.SIZE None", 2, ("INPUT.SIZE",)),
    Mistake("train DATASET.NAME None", 2, ("'None'",)),
    Mistake("train INPUT.TRANSFORMS None", 2, ("INPUT.TRANSFORMS",)),
    Mistake("train TRAINER.COOP.N_CTX None", 2, ("N_CTX",)),
    Mistake("train DATASET.ROOT None", 2, ("None",)),
    Mistake("train USE_CUDA None", 2, ("USE_CUDA", "True or False")),
    Mistake("train MODEL.BACKBONE.NAME None", 2, ("None",)),
    Mistake("train OPTIM.LR inf", 2, ("OPTIM.LR",)),
    Mistake("train --config-file TMP/nul.yaml", 1, ("RESUME",)),
    Mistake("train --config-file TMP/empty", 2, ("TMP/empty",)),
    Mistake("train --config-file TMP/bytes.yaml", 2, ("TMP/bytes.yaml",)),
    Mistake("train --root TMP/digits", 1, ("manifest.csv", "line 2")),
    Mistake("train --root TMP/file", 1, ("TMP/file",)),
    Mistake("train --root TMP/empty", 1, ("TMP/empty",)),
    Mistake("train --output-dir TMP/file", 2, ("TMP/file",)),
    Mistake(f"train --output-dir TMP/{'x' * 300}", 2, ("File name too long",)),
    Mistake("train MODEL.BACKBONE.NAME TMP/empty", 2, ("TMP/empty",)),
    Mistake("train --plugins TMP/nowhere", 2, ("TMP/nowhere",)),
    Mistake("train --track tensorbord", 2, ("tensorbord", "tensorboard")),
    Mistake("train --from-record TMP/record-cut", 2, ("run.json",)),
    Mistake("train --from-record TMP/record-digits", 2, ("run.json",)),
    Mistake("train --resume TMP/weights-cut", 1, ("TMP/weights-cut",)),
]
COMMANDS_OF_MMRL = [
    Mistake("mmrl trian", 2, ("'trian'", "'train'")),
    Mistake("mmrl train", 2, ("METHOD",)),
    Mistake("mmrl train MMLR dtd", 2, ("MMLR", "MMRL")),
    Mistake("mmrl train dtd MMRL", 2, ("dtd is a dataset", "the method comes before")),
    Mistake("mmrl train MMRL dtd --shots 4.5", 2, ("'4.5' is not a whole number",)),
    Mistake("mmrl train MMRL dtd --shots 0", 2, ("give --shots 1 or more",)),
    Mistake("mmrl train MMRL dtd --seed 1,2", 2, ("'1,2' is not a whole number",)),
    Mistake("mmrl train MMRL dtd --shot 4", 2, ("did you mean --shots?",)),
    Mistake("mmrl train MMRL dtd =5", 2, ("unknown word =5",)),
    Mistake("mmrl test MMRL dtd --on eurosat", 2, ("--on needs the folder of a run",)),
    Mistake("mmrl data unpack dtd TMP/new", 2, ("caltech101_64, clothing_64",)),
    Mistake("mmrl data unpack clothing_64 TMP/file", 2, ("TMP/file is no folder",)),
    Mistake("mmrl data texts MMRL", 2, ("MMRL is a method",)),
    Mistake("mmrl compare MMRL dtd", 2, ("the seed is expected",)),
    Mistake("mmrl help train MMRL", 2, ("Did you mean train?",)),
    Mistake("mmrl --verson", 2, ("--version",)),
    Mistake("mmrl train MMRL dtt", 2, ("dtt", "dtd")),
    Mistake("mmrl train MMRL dtd --shots x", 2, ("--shots", "'x'")),
    Mistake("mmrl train MMRL dtd --device gpu --output TMP/new", 2, ("--device", "cpu or cuda")),
    Mistake("mmrl train MMRL dtd OPTIM.LR --output TMP/new", 2, ("OPTIM.LR",)),
    Mistake("mmrl train MMRL dtd --protocol base2now", 2, ("base2now", "base2new")),
    Mistake("mmrl train MMRL folder --root TMP/nowhere --cfg photo --output TMP/new", 2, ("TMP/nowhere",)),
    Mistake("mmrl train MMRL caltech101_64 --output TMP/file", 2, ("TMP/file",)),
    Mistake("mmrl test", 2, ("METHOD",)),
    Mistake("mmrl test TMP/nowhere", 2, ("TMP/nowhere",)),
    Mistake("mmrl test MMRL dtd --output TMP/empty", 2, ("no trained run", "TMP/empty")),
    Mistake("mmrl test MMRL dtd --protocol few_shot", 2, ("few_shot", "base2new")),
    Mistake("mmrl test RUN --on dtt --output TMP/new", 2, ("dtt", "dtd")),
    Mistake("mmrl test TMP/record-cut --output TMP/new", 2, ("run.json",)),
    Mistake("mmrl test TMP/record-list-for-text --output TMP/new", 2, ("run.json",)),
    Mistake("mmrl test TMP/weights-cut --output TMP/new", 1, ("model.pth.tar-1", "truncated")),
    Mistake("mmrl config MMRL", 2, ("DATASET",)),
    Mistake("mmrl config MMRL dtd OPTIM.LRR=1", 2, ("OPTIM.LRR", "OPTIM.LR")),
    Mistake("mmrl config MMRL dtd OPTIM.LR=x", 2, ("OPTIM.LR", "x")),
    Mistake("mmrl config MMRL dtd --protocol few_shots", 2, ("few_shots", "few_shot")),
    Mistake("mmrl config MMRL dtd --cfg emojy", 2, ("emojy",)),
    Mistake("mmrl config MMRL dtd --stage tset", 2, ("tset",)),
    Mistake("mmrl list method-names", 2, ("methods",)),
    Mistake("mmrl list", 2, ("KIND",)),
    Mistake("mmrl help MMLR", 2, ("MMLR", "MMRL")),
    Mistake("mmrl data", 2, ("data prepare, data check",)),
    Mistake("mmrl data check dtt", 2, ("dtt",)),
    Mistake("mmrl data check folder --root TMP/nowhere", 1, ("TMP/nowhere",)),
    Mistake("mmrl data prepare", 2, ("DATASET",)),
    Mistake("mmrl doctor --root TMP/file", 0),
    Mistake("mmrl export RUN", 2, ("--format",)),
    Mistake("mmrl export RUN --format onxn", 2, ("onxn", "onnx")),
    Mistake("mmrl export RUN --format torch --output TMP/model.onnx", 2, (".pt2",)),
    Mistake("mmrl export RUN --format safetensors --output TMP/file/model.safetensors", 2, ("TMP/file",)),
    Mistake("mmrl export RUN --format hub-folder --output TMP/file", 2, ("TMP/file",)),
    Mistake("mmrl export RUN --format torch --push me/model", 2, ("--push", "hub-folder")),
    Mistake("mmrl export TMP/nowhere --format torch", 2, ("TMP/nowhere",)),
    Mistake("mmrl export TMP/weights-nan --format safetensors", 2, ("NaN",)),
    Mistake("mmrl export TMP/record-cut --format safetensors", 2, ("run.json",)),
    Mistake("mmrl visualize RUN", 2, ("--features",)),
    Mistake("mmrl visualize RUN TMP/nowhere.png", 2, ("TMP/nowhere.png",)),
    Mistake("mmrl visualize RUN --features TMP/nowhere", 2, ("no folder TMP/nowhere",)),
    Mistake("mmrl visualize RUN --features IMAGES --projection umap", 2, ("umap", "tsne")),
    Mistake("mmrl visualize TMP/empty TMP/page.png", 2, ("TMP/empty",)),
    Mistake("mmrl visualize RUN IMAGES --output TMP/file", 2, ("TMP/file",)),
    Mistake("mmrl demo TMP/nowhere", 2, ("TMP/nowhere",)),
    Mistake("mmrl demo RUN --port many", 2, ("--port",)),
    Mistake("mmrl demo RUN --classes TMP/nowhere.txt", 2, ("TMP/nowhere.txt",)),
    Mistake("mmrl demo TMP/weights-a-list", 2, ("state_dict",)),
]
DATA = [
    Mistake("check dtt --root TMP", 2, ("dtt",)),
    Mistake("check dtd --root TMP/nowhere", 1),
    Mistake("check dtd --root TMP/file", 1),
    Mistake("check folder --root TMP/nowhere", 1, ("TMP/nowhere",)),
    Mistake("check folder --root TMP/empty", 1, ("TMP/empty",)),
    Mistake("check folder --root TMP/file", 1, ("TMP/file",)),
    Mistake("check folder --root TMP/digits", 1, ("manifest.csv", "line 2")),
    Mistake("check folder --root IMAGES --val-fraction 2", 1, ("2",)),
    Mistake("check folder --root IMAGES --allow everything", 2, ("everything",)),
    Mistake("check folder --root IMAGES --deep --sheet TMP/file/sheet.png", 2, ("TMP/file",)),
    Mistake("check --rot TMP", 2, ("--rot",)),
    Mistake("prepare", 2, ("DATASET",)),
    Mistake("prepare dtt --root TMP", 2, ("dtt",)),
    Mistake("prepare dtd --root TMP/file", 2, ("TMP/file",)),
]
RUNS = [
    Mistake("launch base2new train MMRL", 2, ("DATASET",)),
    Mistake("launch base2new train MMRL dtt", 2, ("dtt", "dtd")),
    Mistake("launch base2new train MMRL dtd one", 2, ("'one'",)),
    Mistake(f"launch base2new train MMRL dtd {'9' * 5000} --output TMP/new", 2, ("the seed",)),
    Mistake("launch base2new train MMRL dtd 1 --output-dir TMP", 2, ("--output-dir", "--output")),
    Mistake("launch base2new train MMRL caltech101_64 1 --output TMP/file", 2, ("TMP/file",)),
    Mistake("compare dtt", 2, ("dtt", "dtd")),
    Mistake("compare dtd 1 2", 2, ("one seed",)),
    Mistake("compare dtd --methods MMLR", 2, ("MMLR", "MMRL")),
    Mistake("parse", 2, ("directory",)),
    Mistake("parse TMP/nowhere", 2, ("TMP/nowhere",)),
    Mistake("parse TMP/file", 2, ("TMP/file",)),
    Mistake("parse TMP/empty", 1),
    Mistake("parse TMP/logs", 1),
    Mistake("parse TMP/odd-logs", 1),
]
ALL = [*SWEEP, *REPORT, *PREDICT, *EVALUATE, *TRAIN, *COMMANDS_OF_MMRL, *DATA, *RUNS]
SHORT = ("base", "TEST.NO_TEST", "True")
"""Classes and settings of the runs here."""
NO_LINE_NEEDED = {0, 1}
"""Statuses with which a table, or what was found, may say all there is to say."""


def weights(**changes) -> Callable[[Path], None]:
    """Change what the checkpoint holds."""

    def change(folder: Path) -> None:
        (file,) = folder.glob("prompt_learner/model.pth.tar-1")
        content = torch.load(file, weights_only=True)
        torch.save({**content, **{key: make(content.get(key)) for key, make in changes.items()}}, file)

    return change


def record(**changes) -> Callable[[Path], None]:
    """Change what the record says."""

    def change(folder: Path) -> None:
        file = folder / "run.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def cut(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-300])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights-cut": cut("prompt_learner/model.pth.tar-1"),
    "weights-a-list": weights(state_dict=lambda state: list(state.values())),
    "weights-text": weights(state_dict=lambda state: "state"),
    "weights-about": weights(about=lambda about: ["CoOp"]),
    "weights-about-settings": weights(about=lambda about: about | {"settings": 7}),
    "weights-number-keys": weights(state_dict=lambda state: dict(enumerate(state.values()))),
    "weights-nan": weights(state_dict=lambda state: {name: value * torch.nan for name, value in state.items()}),
    "weights-other-shape": weights(state_dict=lambda state: {name: value[:1] for name, value in state.items()}),
    "record-cut": cut("run.json"),
    "record-digits": lambda folder: (folder / "run.json").write_text(
        '{"status": "complete", "metrics": {"accuracy": ' + "9" * 400 + "}}"
    ),
    "record-list-for-text": record(method=["CoOp"], dataset=[1]),
    "record-text-accuracy": record(metrics={"accuracy": "high"}),
    "record-a-list": lambda folder: (folder / "run.json").write_text("[]"),
    "record-utf-16": lambda folder: (folder / "run.json").write_text("{}", encoding="utf-16"),
    "record-no-classes": record(classes=None),
    "pointer-utf-16": lambda folder: (folder / "prompt_learner/checkpoint").write_bytes(b"\xff\xfe\xe9"),
}


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("short"))


@pytest.fixture(scope="module")
def place(short, tmp_path_factory) -> Path:
    """A folder with everything that goes wrong."""
    folder = tmp_path_factory.mktemp("place")
    run = short("CoOp", *SHORT)
    for name, damage in DAMAGE.items():
        shutil.copytree(run, folder / name)
        damage(folder / name)
    shutil.copytree(run, folder / "above" / "run")
    (folder / "file").write_text("")
    (folder / "empty").mkdir()
    (folder / "page.png").write_text("<html>404 not found</html>")
    (folder / "twice.txt").write_text("red square\nred_square\n")
    (folder / "utf-16.txt").write_text("red square\nteal\n", encoding="utf-16")
    (folder / "nul.yaml").write_text('RESUME: "a\\0b"\n')
    (folder / "bytes.yaml").write_bytes(b"OPTIM:\n  NAME: caf\xe9\n")
    (folder / "digits").mkdir()
    (folder / "digits" / "manifest.csv").write_text(f"path,label,split\na.png,{'9' * 5000},train\n")
    for name, line in (("logs", "no result"), ("odd-logs", "Finish training\n* accuracy: 1.2.3%")):
        (folder / name / "seed1").mkdir(parents=True)
        (folder / name / "seed1" / "log.txt").write_text(f"{line}\n")
    return folder


def call(words: list[str]) -> int:
    """The exit status; argparse ends by SystemExit."""
    try:
        return COMMANDS[words[0]](words[1:])
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    "mistake", ALL, ids=[mistake.words[:80].encode("ascii", "replace").decode() for mistake in ALL]
)
def test_it_is_said(mistake, short, place, tmp_path, monkeypatch, capsys):
    def named(text: str) -> str:
        run = str(short("CoOp", *SHORT))
        text = text.replace("IMAGES", str(short.images)).replace("TMP", str(place))
        return re.sub(r"\bRUN\b", run, text)

    def refuse(runs, *words):
        raise AssertionError(f"processes would be started for {runs}")

    for module in (launch, compare, sweep):
        monkeypatch.setattr(module, "execute", refuse)
    monkeypatch.chdir(tmp_path)
    words = [word if word.isupper() and "." in word else named(word) for word in mistake.words.split(" ")]
    if words[0] == "train":
        words[1:1] = short.arguments("CoOp", SHORT[0], tmp_path / "new", *SHORT[1:])
    status = call(words)
    shown = capsys.readouterr()
    assert status == mistake.status, shown.err[-2000:]
    assert "Traceback" not in shown.err and "\x1b" not in shown.err
    assert "error: " in shown.err or "skipped " in shown.err or status in NO_LINE_NEEDED
    assert all(named(part) in shown.err for part in mistake.parts), shown.err[-2000:]


def test_they_are_many_and_no_two_the_same():
    assert len({mistake.words for mistake in ALL}) == len(ALL) > 150
