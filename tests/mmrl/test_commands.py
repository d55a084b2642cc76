"""`mmrl COMMAND`: what is called with which arguments, what is said of a slip, and the lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mmrl
import train
from clip.pretrained import available_models
from mmrl.__main__ import main
from mmrl.commands import COMMANDS, list_names
from mmrl.commands.completion import whole_parser
from runs import protocol
from runs.command_line import settings_apart
from runs.protocol import PlanError, choose, find_dataset
from runs.record import RunRecord
from safeio.names import find_name, nearest_name

PROJECT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "numpy", "scipy", "pandas", "PIL", "sklearn", "matplotlib", "open_clip"}
INSIDE = ("runs/sweep/fork_server.py", "runs/sweep/exit_with_parent.py")
"""Processes that a sweep starts, which take no words of a user."""
PLACES = ("*.py", "*/__main__.py", "benchmarks/*.py", "tools/*.py")
PLACES += ("runs/**/*.py", "inference/**/*.py", "datasets/**/*.py")
ENTRY_POINTS = sorted(
    name
    for place in PLACES
    for file in PROJECT.glob(place)
    if '__name__ == "__main__"' in file.read_text(encoding="utf-8")
    and (name := file.relative_to(PROJECT).as_posix()) not in INSIDE
)


def call(words, capsys) -> tuple[int, str, str]:
    """Return the exit status of a command, what it printed, and its errors."""
    try:
        status = main(words)
    except SystemExit as end:  # argparse
        status = end.code
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command, capsys):
    status, out, _ = call(["help", *command.split()], capsys)
    assert status == 0 and out.startswith("usage: ") and "example:\n" in out
    status, out, _ = call([*command.split(), "--help"], capsys)
    assert status == 0 and "example:\n" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_ends_with_status_2(command, capsys):
    if command in ("launch", "compare"):
        pytest.skip("hands unknown options to train.py")
    status, _, err = call([*command.split(), "--outptu", "x"], capsys)
    assert status == 2 and "error: " in err and "Traceback" not in err


def test_help_is_quick():
    """Nothing heavy is imported to explain a command."""
    code = "import sys; from mmrl.__main__ import main\nfor c in {!r}: main(['help', *c.split()])\n"
    code += "heavy = {!r} & set(sys.modules); assert not heavy, heavy"
    words = [sys.executable, "-c", code.format(list(COMMANDS), HEAVY)]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ENTRY_POINTS)
def test_whatever_can_be_started_explains_itself_and_loads_nothing_heavy(file):
    """And does nothing else: `--help` writes no file and trains nothing."""
    how = ["-m", file.removesuffix(".py").removesuffix("/__main__").replace("/", ".")] if "/" in file else [file]
    command = [sys.executable, "-X", "importtime", *how, "--help"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("usage: ")
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "argparse" in loaded and not loaded & HEAVY


def test_every_entry_point_is_known():
    """A new one is tested above."""
    assert {"train.py", "mmrl/__main__.py", "runs/compare.py", "inference/commands/demo.py"} <= set(ENTRY_POINTS)
    assert {"benchmarks/step.py", "tools/settings_page.py"} <= set(ENTRY_POINTS)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "mmrl train"),
        (["--help"], 0, "data check"),
        (["--version"], 0, f"mmrl {mmrl.__version__}"),
        (["help"], 0, "mmrl help COMMAND"),
        (["trian"], 2, "Did you mean 'train'?"),
        (["--verson"], 2, "no option '--verson'. Did you mean '--version'?"),
        (["help", "MMRL", "dtd"], 2, "no command or method 'MMRL dtd'. Did you mean MMRL?"),
        (["help", "data", "prepar"], 2, "Did you mean data prepare?"),
        (["help", "train", "MMRL"], 2, "Did you mean train?"),
        (["train", "dtd", "MMRL"], 2, "dtd is a dataset; the method comes before the dataset"),
        (["train", "MMRL", "CoOp"], 2, "CoOp is a method; the method comes before the dataset"),
        (["test", "MMRL", "dtd", "--on", "eurosat"], 2, "--on needs the folder of a run"),
        (["predict", "--zero-shot", "cat, dog"], 2, "name images, or folders of images"),
        (["data", "unpack", "clothing_64", __file__], 2, "is no folder"),
        (["data"], 2, "data prepare, data check"),
        (["data", "chekc"], 2, "did you mean 'data check'?"),
        (["data", "prepare", "dtdd"], 2, "Did you mean dtd?"),
        (["data", "check", "Oxford Petz"], 2, "Did you mean oxford_pets?"),
        (["export", "run", "--format", "onx"], 2, "did you mean onnx?"),
        (["predict", "run"], 2, "--zero-shot 'cat, dog'"),
        (["predict", "--zero-shot", "cat", "image.png"], 2, "'cat, dog'"),
        (["predict", "--zero-shot", "cat, dog", "--backbone", "ViT-B/17", "image.png"], 2, "Did you mean ViT-B/16?"),
        (["help", "data"], 0, "data prepare"),
        (["help", "mmrl++"], 0, "TRAINER.MMRLpp.NAME=VALUE"),
        (["help", "CoOp"], 0, "fp16, bf16, amp)"),
        (["help", "MMLR"], 2, "Did you mean MMRL?"),
        (["help", "foo"], 2, "`mmrl list methods`"),
        (["list", "method"], 0, "MMRLpp"),
        (["list", "datsets"], 2, "did you mean datasets?"),
        (["train", "MMLR", "clothing_64"], 2, "Did you mean MMRL?"),
        (["train", "MMRL", "clothing_65"], 2, "Did you mean clothing_64?"),
        (["train", "MMRL", "clothing_64", "--sede", "1"], 2, "did you mean --seed?"),
        (["train", "MMRL", "clothing_64", "OPTIM.LR"], 2, "OPTIM.LR has no value"),
        (["train", "MMRL", "clothing_64", "--seed", "one"], 2, "'one' is not a whole number"),
        (["predict", "--zero-shot", "cat, dog", "--topk", "0", "image.png"], 2, "at least 1"),
        (["launch", "base2new", "train", "MMRL", "clothing_64", "1", "--seed", "2"], 2, "The seeds are given twice"),
        (["list", "datasets"], 0, "folder                 Your own images"),
        (["report", ".", "--output", "."], 2, "is a folder"),
        (["train", "MMRL", "clothing_64", "--device", "tpu"], 2, "cpu or cuda"),
        (["train", "MMRL", "clothing_64", "--protocol", "base2now"], 2, "Did you mean base2new?"),
        (["test", "MMRL"], 2, "mmrl test METHOD DATASET"),
        (["test", "MMRL", "clothing_64", "--protocol", "few_shot"], 2, "a training run of few_shot also tests"),
        (["test", "MMRL", "clothing_64", "--output", "nowhere"], 2, "train it first"),
        (
            ["launch", "cross_dataset", "test", "MMRL", "clothing_64", "1"],
            2,
            "`mmrl train MMRL caltech101_64 --protocol",
        ),
        (["train", "MMRL", "clothing_64", "--epochs", "1"], 2, "it is a setting, OPTIM.MAX_EPOCH=VALUE"),
        (["sweep", "base2new", "--lr=0.1"], 2, "it is a setting, OPTIM.LR=VALUE"),
        (["sweep", "base2new", "--methods", "MMLR"], 2, "Did you mean MMRL?"),
        (["config", "MMRL", "clothing_64", "OPTIM.LRR=1"], 2, "OPTIM.LRR"),
    ],
)
def test_what_is_said(words, status, said, capsys):
    found, out, err = call(words, capsys)
    assert found == status and said in out + err, out + err
    assert "Traceback" not in err


WRONG_KEYS = {
    "TRAINER.MMRL.ALPAH=1": "'TRAINER.MMRL.ALPHA'",
    "OPTIM.LRR 1": "'OPTIM.LR'",
    "optim.lr=1": "'OPTIM.LR'",
    "lr=1": "'OPTIM.LR'",
    "ALPHA=1": "'TRAINER.MMRL.ALPHA'",
    "shots=4": "'DATASET.NUM_SHOTS'",
    "BAD.KEY=1": "shows all keys",
}


@pytest.mark.parametrize("pair", WRONG_KEYS)
@pytest.mark.parametrize("command", ["train", "config", "test RUN", "sweep", "search"])
def test_a_wrong_key_gets_the_nearest_one_in_every_command(command, pair, capsys, tmp_path):
    words = {
        "train": ["train", "MMRL", "clothing_64", *pair.split()],
        "config": ["config", "MMRL", "clothing_64", *pair.split()],
        "test RUN": ["test", str(tmp_path / "run"), *pair.split()],
        "sweep": ["sweep", "few_shot", "--methods", "MMRL", "--datasets", "clothing_64", *pair.split()],
        "search": ["sweep", "few_shot", "--methods", "MMRL", "--datasets", "clothing_64", "--search", "2"],
    }[command]
    key = pair.replace("=", " ").split()[0]
    if command == "search":
        words += ["--seeds", "1", "--shots", "4", "--range", f"{key}=1..2"]
    if command == "test RUN":
        flags = {"eval_only": False, "model_dir": "", "load_epoch": None, "no_train": False}
        config = train.settings_of_run(train.parse(["--trainer", "MMRL"])).plain()
        RunRecord(tmp_path / "run", {"method": "MMRL", "config": config, "flags": flags}).complete({})
    status, out, err = call([*words, *([] if command == "test RUN" else ["--output", str(tmp_path)])], capsys)
    assert status == 2 and f"Unknown key {key!r}" in err and WRONG_KEYS[pair] in err, out + err


@pytest.mark.parametrize(
    ("typed", "meant"), [("MMRL++", "MMRLpp"), ("mmrlpp", "MMRLpp"), ("Tip-Adapter-F", "TipAdapterF"), ("coop", "CoOp")]
)
def test_methods_are_found_in_the_papers_spelling(typed, meant):
    assert choose("method", typed, protocol.methods()) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("DTD", "dtd"), ("DescribableTextures", "dtd"), ("FGVC-Aircraft", "fgvc_aircraft"), ("SUN397", "sun397")],
)
def test_datasets_are_found_by_both_names(typed, meant):
    assert find_dataset(typed) == meant


@pytest.mark.parametrize(("typed", "meant"), [("vit-b/16", "ViT-B/16"), ("ViT-B-16", "ViT-B/16"), ("rn50", "RN50")])
def test_backbones_are_found_in_any_spelling(typed, meant):
    assert protocol.find_backbone(typed) == meant
    assert set(protocol.backbones()) == set(available_models())


def test_no_two_names_are_spelled_alike():
    for names in (protocol.methods(), protocol.datasets(), protocol.protocols()):
        assert all(find_name(name.upper(), names) == name for name in names)
    assert nearest_name("MMRL++", ["MMRL", "MMRLpp"]) == "MMRLpp" and find_name("", ["MMRL"]) is None


@pytest.mark.parametrize(
    ("words", "others", "settings"),
    [
        ("--seeds 1 2 OPTIM.LR 0.1", "--seeds 1 2", "OPTIM.LR 0.1"),
        ("--seeds 1 2 OPTIM.LR=0.1 --root x", "--seeds 1 2 --root x", "OPTIM.LR 0.1"),
        ("--transforms random_flip TASK FS", "--transforms random_flip", "TASK FS"),
        ("--set OPTIM.LR=1,2 --seeds 1", "--set OPTIM.LR=1,2 --seeds 1", ""),
        ("--trainer MMRL INPUT.SIZE=(48,48)", "--trainer MMRL", "INPUT.SIZE (48,48)"),
        ("TRAINER.COOP.CTX_INIT=a=b", "", "TRAINER.COOP.CTX_INIT a=b"),
        ("MMRL dtd optim.lr=0.1 --root a=b", "MMRL dtd --root a=b", "optim.lr 0.1"),
    ],
)
def test_settings_are_no_values_of_options(words, others, settings):
    assert settings_apart(words.split(), ("--set",)) == (others.split(), settings.split())


def test_a_setting_without_a_value_is_refused():
    with pytest.raises(PlanError, match=r"OPTIM\.LR has no value"):
        settings_apart(["--seed", "1", "OPTIM.LR"])


def test_the_lists_name_everything_once():
    assert [name for name, _ in list_names.methods()] and set(dict(list_names.methods())) == set(protocol.methods())
    assert set(dict(list_names.datasets())) == set(protocol.datasets())
    assert set(dict(list_names.protocols())) == set(protocol.protocols())
    for rows in (list_names.methods(), list_names.datasets(), list_names.backbones(), list_names.protocols()):
        assert all(text.strip() and "\n" not in text for _, text in rows)


def test_config_shows_settings_with_origins(capsys):
    status, out, _ = call(["config", "mmrl++", "DTD", "--protocol", "base2new", "OPTIM.MAX_EPOCH=7"], capsys)
    assert status == 0 and "command line" in out and "configs/datasets/dtd.yaml" in out
    status, everything, _ = call(["config", "mmrl++", "DTD", "--all"], capsys)
    assert status == 0 and len(everything.splitlines()) > len(out.splitlines())


def test_doctor_finds_the_embedded_weights(tmp_path, capsys):
    status, out, _ = call(["doctor", "--root", str(tmp_path)], capsys)
    assert status == 0 and "embedded" in out and f"no benchmark in {tmp_path}" in out and mmrl.__version__ in out


def test_the_shell_completes_commands_options_and_names():
    completers = pytest.importorskip("argcomplete").completers
    assert completers
    finder = pytest.importorskip("argcomplete").CompletionFinder(whole_parser())
    assert {"train", "test", "data"} <= set(finder._get_completions([], "", "", None))
    assert "--shots" in {
        word.strip() for word in finder._get_completions(["mmrl", "train", "MMRL", "dtd"], "--sh", "", None)
    }


TINY = ["OPTIM.MAX_EPOCH=1", "DATALOADER.NUM_WORKERS", "0", "USE_CUDA", "False"]


def test_train_test_and_once_more(tmp_path, monkeypatch, capsys):
    """One line trains; the same line again repeats nothing; other settings need another place."""
    words = ["CoOp", "clothing_64", "--shots", "1", "--output", str(tmp_path), *TINY]
    status, out, err = call(["train", *words, "--protocol", "base2new"], capsys)
    assert status == 0 and "accuracy" in out and "mmrl predict" in out, err
    status, out, _ = call(["train", *words, "--protocol", "BASE2NEW"], capsys)
    assert status == 0 and "complete: skipped" in out
    status, _, err = call(["train", *words, "--protocol", "base2new", "OPTIM.LR=0.5"], capsys)
    assert status == 2 and "OPTIM.LR 0.002, not 0.5" in err
    for slip, said in (
        ("OPTIM.LRR=1", "OPTIM.LRR"),
        ("OPTIM.LR=abc", "expected a number"),
        ("USE_CUDA=maybe", "USE_CUDA"),
        ("--track=wanbd", "tensorboard, wandb, mlflow"),
    ):
        status, _, err = call(["train", *words, "--protocol", "base2new", slip], capsys)
        assert status == 2 and said in err and "holds a complete run" not in err, err
    status, out, err = call(["test", *words], capsys)
    assert status == 0 and "test_new" in out, err
    (run,) = [file.parent for file in tmp_path.rglob("train_base/**/run.json")]
    status, out, err = call(["test", str(run), "--on", "caltech101_64_pencil"], capsys)
    assert status == 0 and "on caltech101_64_pencil: accuracy" in out, err
    assert "not that of the run repeated" not in out
    status, out, err = call(["test", str(run), "--into", str(tmp_path / "tested")], capsys)  # --output's former name
    assert status == 0 and f"folder: {tmp_path / 'tested'}" in out and (tmp_path / "tested" / "run.json").is_file(), err
