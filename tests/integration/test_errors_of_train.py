"""The likeliest mistakes of people who run train.py: each gets a message that helps, without a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from short_runs import clothes

import train
from safeio.lock import sole_use


class UserError(NamedTuple):
    """Words beside a right command line (SAVED, TMP: folders), the exit status, and parts of the message."""

    words: str
    status: int
    parts: tuple[str, ...]


COMMAND_LINE = [
    UserError("--seeed 1", 2, ("unknown flag --seeed", "did you mean --seed?")),
    UserError("--shots 4", 2, ("unknown flag --shots", "DATASET.NUM_SHOTS VALUE")),
    UserError("--lr 0.01", 2, ("unknown flag --lr", "OPTIM.LR VALUE")),
    UserError("--batch-size 4", 2, ("DATALOADER.TRAIN_X.BATCH_SIZE",)),
    UserError("DATASET.NUM_SHOTS", 2, ("DATASET.NUM_SHOTS has no value", "KEY=VALUE")),
    UserError("--seed one", 2, ("--seed", "'one'")),
    UserError("--seed 1 --seeds 1 2", 2, ("--seed and --seeds exclude one another",)),
    UserError("--trainer MMLR", 2, ("'MMLR'", "Did you mean 'MMRL'?")),
    UserError("--from-record TMP/run.json", 2, ("there is no record", "TMP/run.json")),
    UserError(
        "--dataset-config-file configs/datasets/clothing_64s.yaml", 2, ("no configuration file", "clothing_64s.yaml")
    ),
    UserError("--config-file configs/trainers/CoOp/photos.yaml", 2, ("no configuration file", "CoOp/photos.yaml")),
    UserError("--output-dir TMP/file/run", 2, ("TMP/file",)),
    UserError("--output-dir TMP/used", 75, ("TMP/used is in use by process", "--output-dir")),
]
SETTINGS = [
    UserError("--config-file TMP/broken.yaml", 2, ("broken.yaml is not valid yaml",)),
    UserError("--config-file TMP/tag.yaml", 2, ("tag.yaml is not valid yaml", "python/object")),
    UserError("--config-file TMP/key.yaml", 2, ("'OPTIM.LRR' in method yaml TMP/key.yaml", "'OPTIM.LR'")),
    UserError("OPTIM.MAX_EPOCHS 5", 2, ("'OPTIM.MAX_EPOCHS' in command line", "'OPTIM.MAX_EPOCH'")),
    UserError("DATASET.NUM_SHOTS many", 2, ("DATASET.NUM_SHOTS in command line is 'many'", "a whole number")),
    UserError("DATASET.NUM_SHOTS 1.5", 2, ("is '1.5', expected a whole number",)),
    UserError("OPTIM.LR -0.1", 2, ("OPTIM.LR in command line is -0.1", "a number above 0")),
    UserError("OPTIM.LR 1e-3x", 2, ("OPTIM.LR in command line is '1e-3x'", "a number")),
    UserError("OPTIM.NAME sdg", 2, ("'sdg'", "Did you mean 'sgd'?")),
    UserError("OPTIM.MAX_EPOCH 0", 2, ("OPTIM.MAX_EPOCH in command line is 0", "at least 1")),
    UserError("OPTIM.WARMUP_EPOCH 3", 2, ("OPTIM.WARMUP_EPOCH is 3", "OPTIM.MAX_EPOCH is 1")),
    UserError("DATALOADER.TRAIN_X.BATCH_SIZE 0", 2, ("BATCH_SIZE in command line is 0", "at least 1")),
    UserError("INPUT.TRANSFORMS ('random_flop',)", 2, ("random_flop", "random_flip")),
    UserError("TASK B2M", 2, ("TASK is 'B2M'", "B2N")),
    UserError("PRESET papers", 2, ("PRESET is 'papers'", "paper")),
    UserError("DATASET.SUBSAMPLE_CLASSES bases", 2, ("SUBSAMPLE_CLASSES is 'bases'", "all, base, new")),
    UserError("TEST.CLASSES new", 2, ("TEST.CLASSES in command line is 'new'", "seen, unseen")),
    UserError("DATASET.TEMPLATE photo", 2, ("DATASET.TEMPLATE in command line is 'photo'", "{}")),
    UserError("TRAINER.COOP.PREC fp61", 2, ("PREC in command line is 'fp61'", "fp32, fp16, bf16, amp")),
    UserError("TRAINER.COOP.PREC fp16 USE_CUDA False", 1, ("PREC fp16 needs a GPU", "amp")),
]
DATA = [
    UserError("DATASET.NAME Clothinf", 2, ("'Clothinf'", "Did you mean 'Clothing'?")),
    UserError("DATASET.NAME Caltech101 DATASET.ROOT TMP", 2, ("no folder TMP/caltech-101", "DATASET.ROOT")),
    UserError("DATASET.NAME Folder DATASET.ROOT TMP/nowhere", 2, ("TMP/nowhere",)),
    UserError("DATASET.NAME ImageNet DATASET.ROOT TMP --backbone RN101", 2, ("TMP/imagenet", "mmrl data prepare")),
    UserError("DATASET.NAME Folder DATASET.ROOT TMP/lacking", 1, ("manifest.csv, line 2", "no image", "lost.png")),
    UserError(
        "DATASET.NAME Folder DATASET.ROOT TMP/damaged DATASET.SUBSAMPLE_CLASSES all",
        1,
        ("Cannot read the image", "damaged/page.png"),
    ),
]
BACKBONE = [
    UserError("--backbone ViT-B/17", 2, ("'ViT-B/17'", "Did you mean ViT-B/16?")),
    UserError("--backbone TMP/ViT.pt", 2, ("no weights file", "TMP/ViT.pt")),
    UserError("--backbone TMP/page.pt", 1, ("TMP/page.pt", "of another format")),
    UserError("INPUT.SIZE (224,224)", 1, ("(224, 224)", "64 x 64", "INPUT.SIZE (64,64)")),
    UserError("--trainer MMRL TRAINER.MMRL.REP_LAYERS [12,13] TRAINER.MMRL.PREC fp32", 1, ("REP_LAYERS", "depth")),
    UserError("TRAINER.COOP.CTX_INIT '' TRAINER.COOP.N_CTX 75", 1, ("context of 75 (N_CTX)", "77")),
]
CHECKPOINTS = [
    UserError("--eval-only", 1, ("--model-dir", "prompt_learner/model-best.pth.tar", "model.pth.tar-<epoch>")),
    UserError("--eval-only --model-dir TMP", 1, ("looked for", "in TMP/prompt_learner", "was that run trained")),
    UserError("--eval-only --model-dir SAVED --load-epoch 7", 1, ("model.pth.tar-7", "SAVED", "'model.pth.tar-1'")),
    UserError("--eval-only --model-dir SAVED TRAINER.COOP.N_CTX 5", 1, ("N_CTX: 16 there, 5 here",)),
    UserError(
        "--eval-only --model-dir SAVED --trainer CoCoOp TRAINER.COCOOP.PREC fp32", 1, ("CoOp there, CoCoOp here",)
    ),
    UserError(
        "--eval-only --model-dir SAVED DATASET.SUBSAMPLE_CLASSES new TEST.CLASSES seen",
        1,
        ("classes base there", "classes new here", "TEST.CLASSES unseen"),
    ),
    UserError("--eval-only --model-dir TMP/cut", 1, ("TMP/cut/prompt_learner/model.pth.tar-1", "truncated")),
    UserError("--resume TMP/nowhere", 1, ("RESUME is 'TMP/nowhere'", "no checkpoints")),
    UserError("--resume SAVED OPTIM.LR 0.5", 1, ("OPTIM.LR: 0.002 there, 0.5 here", "--output-dir")),
    UserError("--resume SAVED --seed 2", 1, ("SEED: 1 there, 2 here",)),
]
DAMAGED = "page.png,0,train\nother.png,1,train\nthird.png,0,test\nfourth.png,1,test"
ALL = [*COMMAND_LINE, *SETTINGS, *DATA, *BACKBONE, *CHECKPOINTS]


def run(output: Path, *words: str) -> int:
    """train.py's exit status; a word that is given again takes the place of the one before."""
    try:
        return train.main(clothes(output, "TEST.NO_TEST", True, *words))
    except SystemExit as end:  # argparse
        return end.code


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert run(folder) == 0
    return folder


@pytest.fixture
def place(tmp_path, saved) -> Path:
    """A folder with everything that goes wrong."""
    (tmp_path / "file").write_text("")
    (tmp_path / "broken.yaml").write_text("OPTIM: [1")
    (tmp_path / "tag.yaml").write_text("OPTIM: !!python/object/apply:os.getcwd []")
    (tmp_path / "key.yaml").write_text("OPTIM:\n  LRR: 0.1\n")
    (tmp_path / "page.pt").write_text("<html>404 not found</html>")
    for name, line in (("lacking", "lost.png,0,train"), ("damaged", DAMAGED)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.csv").write_text(f"path,label,split\n{line}\n")
    for name in ("page.png", "other.png", "third.png", "fourth.png"):
        (tmp_path / "damaged" / name).write_text("<html>404 not found</html>")
    (tmp_path / "cut" / "prompt_learner").mkdir(parents=True)
    whole = (saved / "prompt_learner" / "model.pth.tar-1").read_bytes()
    (tmp_path / "cut" / "prompt_learner" / "model.pth.tar-1").write_bytes(whole[: len(whole) // 2])
    return tmp_path


@pytest.mark.parametrize("mistake", ALL, ids=[mistake.words for mistake in ALL])
def test_the_message(mistake, place, saved, capsys):
    def named(text: str) -> str:
        return text.replace("TMP", str(place)).replace("SAVED", str(saved)).replace("''", "")

    with sole_use(place / "used"):
        status = run(place / "run", *map(named, mistake.words.split(" ")))
    said = capsys.readouterr().err
    assert status == mistake.status, said
    assert "error: " in said and "Traceback" not in said
    assert all(named(part) in said for part in mistake.parts), said
    assert status != 2 or not (place / "run").exists()


def test_they_are_many_and_no_two_the_same():
    assert len({mistake.words for mistake in ALL}) == len(ALL) >= 40
