"""Defaults, layers and their origins."""

from pathlib import Path

import pytest
import yaml
from yacs.config import CfgNode

import dassl
from dassl.config import ConfigBuilder, ConfigError, clean_cfg, get_cfg_default


def test_defaults_are_fresh_and_as_upstream():
    cfg = get_cfg_default()
    cfg.INPUT.PIXEL_MEAN.append(1.0)
    cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 7
    fresh = get_cfg_default()
    assert fresh.INPUT.PIXEL_MEAN == [0.485, 0.456, 0.406]
    assert (fresh.DATALOADER.TRAIN_X.BATCH_SIZE, fresh.DATALOADER.TRAIN_U.BATCH_SIZE) == (32, 32)
    assert (fresh.VERSION, fresh.SEED, fresh.USE_CUDA, fresh.RESUME) == (1, -1, True, "")
    assert (fresh.OPTIM.NAME, fresh.OPTIM.LR, fresh.OPTIM.WEIGHT_DECAY) == ("adam", 3e-4, 5e-4)
    assert (fresh.OPTIM.STEPSIZE, fresh.OPTIM.WARMUP_EPOCH, fresh.OPTIM.WARMUP_RECOUNT) == ((-1,), -1, True)
    assert (fresh.TEST.FINAL_MODEL, fresh.TEST.SPLIT, fresh.TRAIN.PRINT_FREQ) == ("last_step", "test", 10)
    assert (fresh.DATASET.NUM_SHOTS, fresh.INPUT.RRCROP_SCALE) == (-1, (0.08, 1.0))


def test_plugins_use_it_as_plain_yacs(tmp_path):
    file = tmp_path / "method.yaml"
    file.write_text('INPUT: {SIZE: "(224, 224)"}\nOPTIM: {WARMUP_CONS_LR: 1e-5}\nTRAINER: {FOO: {X: [1]}}\n')
    cfg = get_cfg_default()
    cfg.TRAINER.FOO = CfgNode()
    cfg.TRAINER.FOO.X = [5, 8]
    cfg.TRAINER.BAR = CfgNode({"Y": 1})
    cfg.merge_from_file(str(file))
    cfg.merge_from_list(["DATASET.NUM_SHOTS", "16"])
    clean_cfg(cfg, "Foo")
    cfg.freeze()
    assert cfg.INPUT.SIZE == (224, 224) and cfg.OPTIM.WARMUP_CONS_LR == 1e-5
    assert cfg.TRAINER == {"NAME": "", "FOO": {"X": [1]}} and cfg.DATASET.NUM_SHOTS == 16
    with pytest.raises(AttributeError):
        cfg.DATASET.NUM_SHOTS = 1


def test_later_layers_win_and_origins_are_kept(tmp_path):
    file = tmp_path / "method.yaml"
    file.write_text("OPTIM:\n  LR: 0.1\n  MAX_EPOCH: 5\nDATASET:\n")
    builder = ConfigBuilder()
    builder.merge_file(file)
    builder.merge_dict({"OPTIM": {"LR": 0.2}}, "per dataset")
    builder.merge_opts(["OPTIM.LR", "3e-1", "INPUT.SIZE", "(32,32)"], "command line")
    builder.set("SEED", 3, "flag --seed")
    cfg = builder.freeze()
    assert (cfg.OPTIM.LR, cfg.OPTIM.MAX_EPOCH, cfg.INPUT.SIZE, cfg.SEED) == (0.3, 5, (32, 32), 3)
    assert builder.origins == {
        "OPTIM.LR": "command line",
        "OPTIM.MAX_EPOCH": str(file),
        "INPUT.SIZE": "command line",
        "SEED": "flag --seed",
    }


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("OPTIM.LR", 1, 1.0),
        ("OPTIM.LR", "1e-5", 1e-5),
        ("INPUT.SIZE", [64, 64], (64, 64)),
        ("INPUT.SIZE", "(64, 64)", (64, 64)),
        ("INPUT.PIXEL_MEAN", "(0.5, 0.5, 0.5)", [0.5, 0.5, 0.5]),
        ("INPUT.TRANSFORMS", "normalize", ("normalize",)),
        ("USE_CUDA", "False", False),
        ("DATASET.NAME", "2024", "2024"),
        ("DATASET.NAME", "'quoted'", "quoted"),
        ("RESUME", None, ""),
    ],
)
def test_values_take_the_type_of_the_default(key, given, expected):
    builder = ConfigBuilder()
    builder.set(key, given, "test")
    value = builder.cfg
    for name in key.split("."):
        value = value[name]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("OPTIM.LRR", 1, "'OPTIM.LRR' in method.yaml; the nearest valid key is 'OPTIM.LR'"),
        ("OPTIN.LR", 1, "'OPTIM.LR'"),
        ("OPTIM.LR.X", 1, "Unknown key 'OPTIM.LR.X'"),
        ("optim.lr", 1, "'OPTIM.LR'"),
        (
            "OPTIM.MAX_EPOCH",
            "many",
            "MAX_EPOCH in method.yaml is 'many', expected a whole number such as 10",
        ),
        ("OPTIM.MAX_EPOCH", 2.5, "expected a whole number"),
        ("USE_CUDA", 1, "expected True or False"),
        ("OPTIM.LR", True, "expected a number"),
        ("INPUT.SIZE", 224, "expected a list such as \\[224, 224\\]"),
        ("INPUT.TRANSFORMS", "(normalize", "expected a list"),
        ("OPTIM.STEPSIZE", "ten", "expected a list"),
        ("DATASET.NAME", 5, "expected a text"),
        ("OPTIM", 5, "section"),
        ("OPTIM.LR", {"A": 1}, "Unknown key 'OPTIM.LR.A'"),
    ],
)
def test_errors_name_key_source_and_expectation(key, value, message):
    builder = ConfigBuilder()
    before = builder.describe()
    with pytest.raises(ConfigError, match=message):
        builder.set(key, value, "method.yaml")
    assert isinstance(ConfigError(""), ValueError) and builder.describe() == before and not builder.origins


def test_new_keys_only_where_opened_or_declared():
    builder = ConfigBuilder()
    with pytest.raises(ConfigError, match=r"TRAINER\.FOO\.A"):
        builder.set("TRAINER.FOO.A", 1, "x")
    builder.open("TRAINER.FOO")
    builder.merge_dict({"TRAINER": {"FOO": {"A": 1, "B": {"C": "1e-3"}}}}, "x")
    builder.declare("TRAINER.BAR.D", 0.5)
    builder.set("TRAINER.BAR.D", 1, "y")
    assert builder.cfg.TRAINER.FOO == {"A": 1, "B": {"C": 0.001}} and builder.cfg.TRAINER.BAR.D == 1.0
    with pytest.raises(ConfigError):
        builder.set("TRAINER.FOOD.A", 1, "x")
    with pytest.raises(ConfigError):
        builder.set("TRAINER.BAR.E", 1, "x")
    with pytest.raises(ConfigError):
        builder.open("OPTIM.LR.X")


def test_new_keys_below_a_section_that_yacs_leaves_open():
    cfg = get_cfg_default()
    cfg.MODEL.ADAPTER = CfgNode({"SIZE": 1}, new_allowed=True)
    builder = ConfigBuilder(cfg)
    builder.merge_dict({"MODEL": {"ADAPTER": {"WIDTH": 4, "DEEP": {"ER": "1e-3"}}}}, "x")
    assert cfg.MODEL.ADAPTER == {"SIZE": 1, "WIDTH": 4, "DEEP": {"ER": 0.001}}
    with pytest.raises(ConfigError, match=r"MODEL\.WIDTH"):
        builder.set("MODEL.WIDTH", 4, "x")


def test_files_that_are_missing_or_no_configuration(tmp_path):
    builder = ConfigBuilder()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        builder.merge_file(tmp_path / "nowhere.yaml")
    for content in ("a: [1", "- 1\n- 2\n", "!!python/object/apply:os.getcwd []"):
        (tmp_path / "bad.yaml").write_text(content)
        with pytest.raises(ConfigError, match="bad"):
            builder.merge_file(tmp_path / "bad.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    builder.merge_file(tmp_path / "empty.yaml")
    with pytest.raises(ConfigError, match="no value"):
        builder.merge_opts(["OPTIM.LR"], "command line")


def test_description_is_yaml_that_gives_the_same_again(tmp_path):
    builder = ConfigBuilder()
    builder.merge_opts(["OPTIM.LR", "0.25", "DATASET.NAME", "a: #b", "INPUT.TRANSFORMS", "['x','y']"], "command line")
    text = builder.describe()
    assert "  LR: 0.25  # command line" in text.splitlines()
    assert "  WEIGHT_DECAY: 0.0005" in text.splitlines()
    (tmp_path / "config.yaml").write_text(text)
    again = ConfigBuilder()
    again.merge_file(tmp_path / "config.yaml")
    assert again.cfg == builder.cfg
    assert yaml.safe_load(text) == builder.plain()
    short = builder.describe(without=("OPTIM", "TEST")).splitlines()
    assert "OPTIM:" in short and "TEST:" not in short, "a section is left out only where all of it is default"


def test_origins_of_what_a_file_builds_on_hold_no_path_of_a_machine(tmp_path):
    """In the project by their path there, elsewhere by their name; the file itself by what the caller says."""
    project = Path(dassl.__file__).parents[1]
    (tmp_path / "common.yaml").write_text("SEED: 1\n")
    file = tmp_path / "method.yaml"
    file.write_text(f"BASE: [{project}/configs/clip.yaml, common.yaml]\nOPTIM:\n  LR: 0.1\n")
    builder = ConfigBuilder()
    builder.merge_file(file, "method yaml")
    assert builder.origins["SEED"] == "common.yaml" and builder.origins["OPTIM.LR"] == "method yaml"
    assert "configs/clip.yaml" in builder.origins.values()
    assert not any(str(folder) in builder.describe() for folder in (tmp_path, project))
