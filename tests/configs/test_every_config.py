"""Every yaml under configs/ means something: it resolves, names what exists, and has the published values."""

import json
from pathlib import Path

import pytest
import yaml

import datasets  # noqa: F401  (registers the datasets)
import train
import trainers  # noqa: F401  (registers the methods)
from dassl.config import ConfigError
from dassl.data.datasets.build import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY
from runs import protocol
from runs.presets import presets
from safeio.trees import leaves
from trainers.base.run_settings import settings_of_run

PROJECT = Path(__file__).parents[2]
CONFIGS = PROJECT / "configs"
OTHER_DATA = ("embedded", "methods", "names", "per_dataset", "presets", "protocols", "sources", "templates")
OVERRIDES = json.loads((PROJECT / "tests/golden/mmrl_dataset_overrides.json").read_text(encoding="utf-8"))["overrides"]
CASES = [(m, t, d) for m, tasks in OVERRIDES.items() for t, found in tasks.items() for d in found]

METHOD = [f for f in sorted(CONFIGS.glob("trainers/*/*.yaml")) if f.stem not in OTHER_DATA]
DATASET = sorted(CONFIGS.glob("datasets/*.yaml"))
SHARED = [f for f in sorted(CONFIGS.glob("*.yaml")) if f.stem not in OTHER_DATA]
PER_DATASET = sorted(CONFIGS.glob("trainers/*/per_dataset.yaml"))
METHOD_PROTOCOLS = sorted(CONFIGS.glob("trainers/*/protocols.yaml"))
PROTOCOLS = sorted(CONFIGS.glob("protocols/*.yaml"))

# The tables of the published yaml files: common values, then the values by which the files differ.
COMMON = {
    "DATALOADER.TEST.BATCH_SIZE": 250,
    "DATALOADER.NUM_WORKERS": 8,
    "INPUT.SIZE": (224, 224),
    "INPUT.RRCROP_SCALE": (0.5, 1),
    "INPUT.INTERPOLATION": "bicubic",
    "INPUT.PIXEL_MEAN": [0.48145466, 0.4578275, 0.40821073],
    "INPUT.PIXEL_STD": [0.26862954, 0.26130258, 0.27577711],
    "INPUT.TRANSFORMS": ("random_resized_crop", "random_flip", "normalize"),
    "OPTIM.NAME": "adamw",
    "OPTIM.LR_SCHEDULER": "cosine",
    "OPTIM.WARMUP_TYPE": "constant",
    "OPTIM.WARMUP_CONS_LR": 1e-5,
    "OPTIM.WEIGHT_DECAY": 5e-4,
    "TRAIN.PRINT_FREQ": 20,
    "TEST.FINAL_MODEL": "last_step",
    "MODEL.BACKBONE.NAME": "ViT-B/16",
    "TRAINER.{}.ALPHA": 0.7,
    "TRAINER.{}.N_REP_TOKENS": 5,
    "TRAINER.{}.REP_LAYERS": (6, 7, 8, 9, 10, 11, 12),
    "TRAINER.{}.PREC": "amp",
    "TRAINER.{}.REP_DIM": 512,
}
ONLY = {"MMRL": {}, "MMRLpp": {"BETA": 0.9, "PROJ_LORA_DIM": 64, "RES_LORA_DIM": 4}}
COLUMNS = (
    "DATALOADER.TRAIN_X.BATCH_SIZE",
    "OPTIM.LR",
    "OPTIM.MAX_EPOCH",
    "OPTIM.WARMUP_EPOCH",
    "TRAINER.{}.REG_WEIGHT",
)
DIFFERING = {
    ("MMRL", "vit_b16"): (4, 0.001, 10, 1, 1.0),
    ("MMRL", "vit_b16_imagenet"): (32, 0.001, 5, 1, 1.0),
    ("MMRL", "vit_b16_few_shot"): (32, 0.001, 50, 1, 0.5),
    ("MMRL", "vit_b16_cross_datasets"): (32, 0.001, 1, 0, 0.2),
    ("MMRLpp", "vit_b16"): (4, 0.001, 10, 1, 1.0),
    ("MMRLpp", "vit_b16_imagenet"): (32, 0.001, 5, 1, 1.0),
    ("MMRLpp", "vit_b16_few_shot"): (32, 0.002, 100, 1, 1.0),
    ("MMRLpp", "vit_b16_cross_datasets"): (32, 0.001, 1, 0, 0.2),
}


def name_of(file: Path) -> str:
    return str(file.relative_to(CONFIGS).with_suffix(""))


def settings(trainer: str, *options, config="", dataset=""):
    arguments = ["--trainer", trainer]
    arguments += ["--config-file", str(config)] if config else []
    arguments += ["--dataset-config-file", str(dataset)] if dataset else []
    return settings_of_run(train.parse([*arguments, *map(str, options)]))


def value_at(cfg, key: str):
    for part in key.split("."):
        assert part in cfg, f"there is no {key}"
        cfg = cfg[part]
    return cfg


def read(file: Path) -> dict:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def in_file(method: str, cfg: str) -> dict:
    """Return the settings in the published file `cfg` of a method, by dotted key."""
    values = COMMON | {f"TRAINER.{{}}.{k}": v for k, v in ONLY[method].items()}
    values |= dict(zip(COLUMNS, DIFFERING[method, cfg], strict=True))
    return {key.format(method): value for key, value in values.items()}


def test_every_yaml_is_of_a_known_kind():
    known = {*METHOD, *DATASET, *SHARED, *PER_DATASET, *METHOD_PROTOCOLS, *PROTOCOLS}
    known |= {CONFIGS / f"{name}.yaml" for name in ("embedded", "methods", "names", "presets", "templates")}
    known |= set(CONFIGS.glob("trainers/*/sources.yaml"))
    assert set(CONFIGS.rglob("*.yaml")) | set(CONFIGS.rglob("*.yml")) == known


@pytest.mark.parametrize("file", METHOD, ids=name_of)
def test_method_yaml_resolves_with_every_dataset(file):
    trainer = file.parent.name
    TRAINER_REGISTRY.get(trainer)
    for dataset in DATASET:
        builder = settings(trainer, config=file, dataset=dataset)
        assert trainer == builder.cfg.TRAINER.NAME
        assert builder.cfg.DATASET.NAME in DATASET_REGISTRY
        assert any(str(file) in origin for origin in builder.origins.values()) or set(read(file)) == {"BASE"}


@pytest.mark.parametrize("file", SHARED, ids=name_of)
def test_shared_yaml_holds_known_keys(file):
    origins = settings("ZeroshotCLIP", config=file).origins
    keys = [key for key, _ in leaves(read(file)) if key != "BASE"]
    assert keys and all(str(file) in origins[key] for key in keys)


KEYS_OF_A_PROTOCOL = {"cfg", "options", "test_options", "stages", "shots", "learns_on_targets"}


@pytest.mark.parametrize("file", METHOD_PROTOCOLS, ids=name_of)
def test_method_protocols_name_what_exists(file):
    trainer, names = file.parent.name, {f.stem for f in DATASET}
    cfg = settings(trainer).cfg
    for name, entry in read(file).items():
        assert (CONFIGS / "protocols" / f"{name}.yaml").is_file()
        assert set(entry) <= {*KEYS_OF_A_PROTOCOL, *presets()}
        assert "default" in entry.get("cfg", {"default"})
        assert "cfg" in entry or "extends" in read(CONFIGS / "protocols" / f"{name}.yaml")
        assert set(entry.get("stages", [])) <= set(protocol.load_protocol(name)["stages"])
        ways = [entry, *(entry[preset] for preset in presets() if preset in entry)]
        assert all(shots > 0 for way in ways for shots in way.get("shots", ()))
        for dataset, chosen in (item for way in ways for item in way.get("cfg", {}).items()):
            by_shots = chosen if isinstance(chosen, dict) else {"default": chosen}
            assert "default" in by_shots and all(k == "default" or k > 0 for k in by_shots)
            for wanted in by_shots.values():
                assert (file.parent / f"{wanted}.yaml").is_file(), f"{name}: {dataset}: {wanted}"
        for key in {**entry.get("options", {}), **entry.get("test_options", {})}:
            value_at(cfg, key)
        for stage in protocol.stages_of(name, trainer):
            assert all(protocol.plan(name, stage, trainer, dataset) for dataset in names)


@pytest.mark.parametrize("file", METHOD_PROTOCOLS, ids=name_of)
def test_no_run_is_planned_that_would_be_refused(file):
    """Methods that cannot predict other classes are not tested on them by `--methods all`, but on their own."""
    trainer = file.parent.name
    if TRAINER_REGISTRY.get(trainer).method_class.transfers:
        pytest.skip("it transfers")
    for name in ("base2new", "cross_dataset"):
        assert protocol.stages_of(name, trainer) == ["train"]
    (run,) = protocol.plan("domain_generalization", "test", trainer, "caltech101_64_pencil", [1])
    (trained,) = protocol.plan("domain_generalization", "train", trainer, "caltech101_64", [1])
    assert "TEST.CLASSES" not in trained.options and trained.folder == run.model_folder
    assert run.options["TEST.CLASSES"] == "seen" and "cross_datasets/train/caltech101_64/" in run.model_folder


@pytest.mark.parametrize("file", METHOD_PROTOCOLS, ids=name_of)
def test_parts_of_single_classes_are_used_on_other_images_of_these_classes(file):
    """In domain generalization the target's classes are the source's: a classifier, a cache or a head knows them."""
    trainer = file.parent.name
    tied = TRAINER_REGISTRY.get(trainer).method_class.tied
    for dataset in ("imagenetv2", "caltech101_64_noise"):
        (run,) = protocol.plan("domain_generalization", "test", trainer, dataset, [1])
        assert run.options.get("TEST.CLASSES") == ("seen" if tied else None)


@pytest.mark.parametrize("file", PROTOCOLS, ids=name_of)
def test_protocols_name_what_exists(file):
    data = protocol.load_protocol(file.stem)
    assert set(data["datasets"]) <= {f.stem for f in DATASET}
    assert set(data.get("methods", ())) <= set(protocol.methods())
    words = "test_classes seeds shots stages task name datasets methods set axis source source_names targets"
    assert set(data) <= set(words.split())
    assert ("axis" in data) == ("set" in data)
    for key, values in data.get("set", {}).items():
        assert [settings("ZeroshotCLIP", key, value).origins[key] for value in values] == ["command line"] * len(values)
    assert set(data["test_classes"].values()) <= {"seen", "unseen"}
    assert len(set(data["seeds"])) == len(data["seeds"]) and all(shots > 0 for shots in data["shots"])
    for stage in data["stages"].values():
        assert stage.get("evaluates", "train") in data["stages"]
        options = [str(part) for pair in stage["options"].items() for part in pair]
        cfg = settings("ZeroshotCLIP", "TASK", data["task"], *options).cfg
        assert cfg.TEST.CLASSES in data["test_classes"].values()


def test_templates_have_one_place_for_the_name():
    data = read(CONFIGS / "templates.yaml")
    templates = [data["default"], *data["datasets"].values(), *(t for e in data["ensembles"].values() for t in e)]
    templates += [t for table in data["methods"].values() for t in table.values()]
    assert set(data["methods"]) <= set(TRAINER_REGISTRY.registered_names())
    assert all(t.count("{}") == 1 and t.format("x") for t in templates)


@pytest.mark.parametrize("file", PER_DATASET, ids=name_of)
def test_per_dataset_values_are_known_settings(file):
    node = TRAINER_REGISTRY.get(file.parent.name).settings_node
    cfg, data = settings(file.parent.name).cfg, read(file)
    tasks = {protocol.load_protocol(f.stem)["task"] for f in PROTOCOLS}
    assert set(data) <= tasks
    for values in (v for table in data.values() for v in table.values()):
        assert values
        for key, value in values.items():
            known = value_at(cfg, key if "." in key else f"TRAINER.{node}.{key}")
            for given in value.values() if isinstance(value, dict) else [value]:
                assert known == "auto" or type(tuple(given) if isinstance(given, list) else given) is type(known), key


@pytest.mark.parametrize(("method", "cfg"), DIFFERING)
def test_values_are_the_published_ones(method, cfg):
    resolved = settings(method, config=CONFIGS / "trainers" / method / f"{cfg}.yaml").cfg
    for key, value in in_file(method, cfg).items():
        found = value_at(resolved, key)
        found, value = (list(v) if isinstance(v, tuple | list) else v for v in (found, value))
        assert (key, found) == (key, value)


def test_overrides_are_exactly_the_published_ones():
    for method, tasks in OVERRIDES.items():
        ours = read(CONFIGS / "trainers" / method / "per_dataset.yaml")
        assert ours == {task: {d: v for d, v in table.items() if v} for task, table in tasks.items()}


@pytest.mark.parametrize(("method", "task", "dataset"), CASES)
def test_overrides_after_merging(method, task, dataset):
    """Method yaml < per dataset < command line."""
    published, cfg = OVERRIDES[method][task][dataset], "vit_b16_few_shot" if task == "FS" else "vit_b16"
    file = CONFIGS / "trainers" / method / f"{cfg}.yaml"
    builder = settings(method, "DATASET.NAME", dataset, "TASK", task, config=file)
    node, prefix = builder.cfg.TRAINER[method], f"TRAINER.{method}."
    expected = {k.removeprefix(prefix): v for k, v in in_file(method, cfg).items() if k.startswith(prefix)} | published
    assert {key: node[key] for key in expected} == expected
    assert all("per_dataset.yaml" in builder.origins[prefix + key] for key in published)
    builder = settings(
        method, "DATASET.NAME", dataset, f"{prefix}REG_WEIGHT", 0.125, "TASK", task, config=file
    )  # the task last: the order of the words does not matter
    assert builder.cfg.TRAINER[method].REG_WEIGHT == 0.125
    assert builder.origins[f"{prefix}REG_WEIGHT"] == "command line"


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["OPTIM.LRR", "0.1"], ["OPTIM.LRR", "'OPTIM.LR'", "command line"]),
        (["TRAINER.MMRL.REG_WEIGT", "1"], ["TRAINER.MMRL.REG_WEIGT", "'TRAINER.MMRL.REG_WEIGHT'"]),
        (["OPTIM.MAX_EPOCH", "ten"], ["OPTIM.MAX_EPOCH", "'ten'", "whole number"]),
        (["TRAINER.MMRL.REP_LAYERS", "6"], ["TRAINER.MMRL.REP_LAYERS", "6", "list"]),
        (["TASK", "B2M"], ["B2M", "B2N, CD, FS"]),
        (["DATASET.SUBSAMPLE_CLASSES", "odd"], ["odd", "all, base, new"]),
    ],
)
def test_mistakes_name_the_nearest_or_the_expected(options, parts):
    with pytest.raises(ConfigError) as error:
        settings("MMRL", *options)
    found = str(error.value)
    for part in parts:
        names = part.split(", ")
        assert part in found or (len(names) == 3 and all(n in found for n in names)), found


def test_mistakes_in_a_yaml_name_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("OPTIM:\n  MAX_EPOCHS: 3\n")
    with pytest.raises(ConfigError, match=r"OPTIM\.MAX_EPOCHS.*mine\.yaml.*'OPTIM\.MAX_EPOCH'"):
        settings("MMRL", config=file)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(KeyError, match="MMRL"):
        settings("MMRRL")
