"""Settings of a run without a published source, and the places that show them."""

import pytest
import yaml

import train
import trainers  # noqa: F401  (registers the methods)
from reports.records import find_runs
from reports.scores import score
from reports.tables import accuracy_tables
from runs.protocol import CONFIGS, methods, plan
from runs.record import RunRecord
from runs.sources import MARKS, in_words, note, published_note, sources_of, unverified
from trainers.base import method
from trainers.base.run_settings import settings_of_run

FILES = sorted(CONFIGS.glob("trainers/*/sources.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_sources_name_files_and_settings_that_exist(file):
    data, configs = yaml.safe_load(file.read_text(encoding="utf-8")), {f.stem for f in file.parent.glob("*.yaml")}
    assert set(data) - {"marks"} == {"repository", "commit", "licence", "read", "unverified"}
    assert set(data["read"]) <= configs | {"templates"}
    assert data["repository"].count("/") == 1 and len(data["commit"]) >= 7
    known = settings_of_run(train.parse(["--trainer", file.parent.name])).cfg
    for entry in data["unverified"]:
        assert set(entry) <= {"keys", "why", "protocols", "except_datasets", "files"} and entry["keys"]
        for key in entry["keys"]:
            node = known
            for part in key.split("."):
                node = node[part]
        assert set(entry.get("files", ())) <= configs


@pytest.mark.parametrize(
    ("run", "keys"),
    [
        (("TCP", "FS", "EuroSAT", "vit_b16_ep100_ctxv1"), {"OPTIM.MAX_EPOCH", "OPTIM.LR"}),
        (("TCP", "B2N", "EuroSAT", "vit_b16_ep100_ctxv1"), set()),
        (("TipAdapter", "FS", "Food101", "rn50"), {"TRAINER.TIPADAPTER.INIT_ALPHA"}),
        (("TipAdapter", "FS", "EuroSAT", "rn50"), set()),
        (("ProGrad", "B2N", "EuroSAT", "rn50_ep100"), set()),
        (("ProGrad", "B2N", "EuroSAT", "vit_b16_ep100_ctxv1"), {"OPTIM.MAX_EPOCH"}),
        (("a plugin", "B2N", "EuroSAT", "mine"), set()),
    ],
)
def test_by_protocol_dataset_and_file(run, keys):
    found = unverified(*run)
    assert keys <= set(found) if keys else not found


def arguments(*words: str):
    (run,) = plan("few_shot", "train", "TCP", "caltech101", [1], [4])
    return train.parse(run.arguments(train.Path("output"), "data", words))


def test_the_log_and_the_record_say_so(capsys):
    args = arguments()
    builder = settings_of_run(args)
    train.print_settings(args, builder)
    log = capsys.readouterr().out
    assert "unverified: OPTIM.MAX_EPOCH, OPTIM.LR, DATALOADER.TRAIN_X.BATCH_SIZE (only the base-to-novel script" in log
    assert train.record_fields(builder, args)["unverified"].keys() == unverified("TCP", "FS", "Caltech101", "x").keys()


def test_what_the_user_gives_is_the_user_s():
    args = arguments("OPTIM.MAX_EPOCH", "9")
    assert "OPTIM.MAX_EPOCH" not in train.unverified_settings(args, settings_of_run(args))
    args.config_file = "mine.yaml"
    assert train.unverified_settings(args, settings_of_run(arguments())) == {}


def test_the_report_marks_such_results(tmp_path):
    fields = {"method": "TCP", "dataset": "Caltech101", "protocol": "few_shot", "task": "FS", "shots": 4, "seed": 1}
    fields |= {
        "subsample_classes": "all",
        "test_classes": "seen",
        "unverified": {"OPTIM.LR": "unread", "OPTIM.X": "unread"},
    }
    RunRecord(tmp_path / "run", fields).complete({"accuracy": 70.0})
    assert score(find_runs(tmp_path), [1]).notes == (
        "Settings that no published file says: OPTIM.LR, OPTIM.X (unread).",
    )
    assert note([{"unverified": {}}, {}]) == "" and in_words({}) == ""


@pytest.mark.parametrize(
    ("name", "words", "marks"),
    [
        ("CoPrompt", ["TRAINER.COPROMPT.TEXTS", "mine.json"], ["texts of a language model"]),
        ("CoPrompt", ["TRAINER.COPROMPT.TEXTS", "templates"], []),
        ("HiCroPL", [], ["texts of a language model"]),
        ("PromptKD", ["DATASET.UNLABELLED", "True"], ["transductive"]),
        ("PromptKD", [], []),
        ("MMRL", [], []),
    ],
)
def test_what_a_method_saw_besides_labels_is_in_its_record(name, words, marks):
    args = train.parse(["--trainer", name, "DATASET.NAME", "Caltech101", *words])
    assert train.record_fields(settings_of_run(args), args)["marks"] == marks


def test_the_marks_of_methods_are_explained():
    assert set(MARKS) == {method.TRANSDUCTIVE, method.LANGUAGE_MODEL}


def test_the_report_says_what_a_method_saw(tmp_path):
    fields = {
        "method": "PromptKD",
        "dataset": "Caltech101",
        "protocol": "few_shot",
        "task": "FS",
        "shots": 4,
        "seed": 1,
    }
    fields |= {"subsample_classes": "all", "test_classes": "seen", "marks": ["transductive"]}
    RunRecord(tmp_path / "run", fields).complete({"accuracy": 70.0})
    (said,) = score(find_runs(tmp_path), [1]).notes
    assert "PromptKD: transductive" in said and "unlabelled images" in said


@pytest.mark.parametrize("method", methods())
def test_marks_of_published_figures_are_those_of_published_settings(method):
    arguments = plan("base2new", "train", method, "dtd", [1])[0].arguments(train.Path("output"), "data", [])
    args = train.parse(arguments)
    assert train.record_fields(settings_of_run(args), args)["marks"] == sources_of(method).get("marks", [])


def test_the_report_says_what_a_published_method_saw(tmp_path):
    """Beside a run that saw nothing of the kind."""
    fields = {"method": "PromptKD", "dataset": "DescribableTextures", "protocol": "base2new", "task": "B2N"}
    fields |= {"shots": 16, "seed": 1, "subsample_classes": "base", "test_classes": "seen", "backbone": "ViT-B/16"}
    RunRecord(tmp_path / "run", fields).complete({"accuracy": 70.0})
    (table,) = [table for table in accuracy_tables(find_runs(tmp_path)) if table.name == "base2new"]
    (notes,) = {note for _, cells in table.rows for cell in cells for note in cell.notes if "published" in note}
    assert notes.startswith("PromptKD, published: transductive")
    assert published_note("MMRL") == ""
