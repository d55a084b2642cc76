"""From a request to runs: which, in which order, in which folders, with which settings."""

import pytest

from runs.protocol import PlanError, load_protocol, methods, plan
from runs.sweep.grid import folder_of, parse_grid, variants
from runs.sweep.plan import Request, expand, part_of

BENCHMARKS = ["imagenet", "caltech101", "oxford_pets", "stanford_cars", "oxford_flowers", "food101"]
BENCHMARKS += ["fgvc_aircraft", "sun397", "dtd", "eurosat", "ucf101"]
VARIANTS = ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"]


def kinds(runs):
    return [(run.options["PROTOCOL"], run.options["STAGE"], run.dataset) for run in runs]


def test_all_are_the_eleven_and_every_test_comes_behind_its_training():
    runs = expand(Request("base2new", ["MMRL", "CoOp"], ["all"], seeds=[1, 2]))
    assert len(runs) == len({run.folder for run in runs}) == 2 * 11 * 2 * 2
    assert {run.dataset for run in runs} == set(BENCHMARKS)
    place = {run.folder: index for index, run in enumerate(runs)}
    assert all(place[run.model_folder] < place[run.folder] for run in runs if run.model_folder)


@pytest.mark.parametrize("protocol", ["base2new", "few_shot", "cross_dataset", "domain_generalization"])
def test_the_paper_s_runs_are_those_of_the_scripts(protocol):
    """So a sweep does not repeat what a script has run."""
    for run in expand(Request(protocol, ["MMRLpp"], seeds=[3])):
        shots = [run.options["DATASET.NUM_SHOTS"]]
        of_script = plan(run.options["PROTOCOL"], run.options["STAGE"], "MMRLpp", run.dataset, [3], shots)
        assert [(one.folder, one.model_folder, one.cfg) for one in of_script] == [
            (run.folder, run.model_folder, run.cfg)
        ]


def test_one_source_for_all_targets_and_both_protocols():
    cross = expand(Request("cross_dataset", ["MMRL"], seeds=[1]))
    shift = expand(Request("domain_generalization", ["MMRL"], seeds=[1]))
    assert kinds(cross) == [("cross_dataset", "train", "imagenet")] + [
        ("cross_dataset", "test", name) for name in BENCHMARKS[1:]
    ]
    assert kinds(shift) == [("cross_dataset", "train", "imagenet")] + [
        ("domain_generalization", "test", name) for name in VARIANTS
    ]
    assert shift[0] == cross[0]
    assert {run.model_folder for run in [*cross[1:], *shift[1:]]} == {cross[0].folder}


def test_a_source_stands_for_its_targets_in_domain_generalization():
    runs = expand(Request("domain_generalization", ["CoOp"], ["caltech101_64"], seeds=[1]))
    looks = [f"caltech101_64_{look}" for look in ("pencil", "colours", "noise")]
    assert [(run.options["STAGE"], run.dataset) for run in runs] == [
        ("train", "caltech101_64"),
        *(("test", look) for look in looks),
    ]


def test_a_method_without_a_stage_leaves_it_out():
    assert {run.options["STAGE"] for run in expand(Request("base2new", ["LinearProbe"], ["dtd"]))} == {"train"}


def test_all_methods_are_those_with_the_protocol():
    assert {run.trainer for run in expand(Request("few_shot", ["all"], ["dtd"], [1], [1]))} == set(methods())


def test_fair_takes_one_file_for_all_and_a_place_of_its_own():
    request = Request("base2new", ["CoOp", "MMRL"], ["imagenet", "dtd", "clothing_64"], [1], presets=["paper", "fair"])
    runs = {(r.options["PRESET"], r.trainer, r.dataset): r for r in expand(request) if r.model_folder is None}
    assert len(runs) == 12
    assert {runs["paper", "MMRL", d].cfg for d in ("imagenet", "dtd")} == {"vit_b16_imagenet", "vit_b16"}
    assert {runs["fair", m, d].cfg for m in ("MMRL",) for d in ("imagenet", "dtd")} == {"vit_b16"}
    assert {runs["fair", "CoOp", d].cfg for d in ("imagenet", "dtd")} == {"vit_b16_ctxv1"}
    assert {runs["fair", m, "clothing_64"].cfg for m in ("CoOp", "MMRL")} == {"photo"}
    assert all(run.folder.startswith("fair/") == (preset == "fair") for (preset, _, _), run in runs.items())


def test_fair_few_shot_files_still_go_by_the_number_of_shots():
    runs = expand(Request("few_shot", ["CoOp"], ["imagenet", "dtd"], [1], [1, 4, 16], ["fair"]))
    assert {(run.options["DATASET.NUM_SHOTS"], run.cfg) for run in runs} == {
        (1, "vit_b16_ep50"),
        (4, "vit_b16_ep100"),
        (16, "vit_b16"),
    }


def test_every_combination_of_values_has_folders_of_its_own():
    grid = {"TRAINER.MMRL.ALPHA": ["0.5", "0.7"], "OPTIM.LR": ["0.1", "0.2"], "TRAINER.COOP.N_CTX": ["4"]}
    runs = expand(Request("base2new", ["MMRL", "CoOp"], ["dtd"], [1], grid=grid))
    trained = [run for run in runs if run.model_folder is None]
    assert [tuple(run.swept.values()) for run in trained if run.trainer == "MMRL"] == [
        ("0.5", "0.1"),
        ("0.5", "0.2"),
        ("0.7", "0.1"),
        ("0.7", "0.2"),
    ]
    assert [tuple(run.swept) for run in trained if run.trainer == "CoOp"] == [("OPTIM.LR", "TRAINER.COOP.N_CTX")] * 2
    assert len({run.folder for run in runs}) == 12
    for run in runs:
        assert run.options["SWEPT"] == list(run.swept) and run.swept.items() <= run.options.items()
        assert not run.model_folder or run.model_folder in {other.folder for other in trained}


def test_an_ablation_is_the_protocol_with_values():
    runs = expand(Request("tokens", datasets=["clothing_64"], seeds=[1]))
    assert {run.trainer for run in runs} == {"MMRL", "MMRLpp"}
    assert {run.options["PROTOCOL"] for run in runs} == {"base2new"}
    counts = load_protocol("tokens")["set"]["TRAINER.MMRL.N_REP_TOKENS"]
    assert [run.swept for run in runs if run.trainer == "MMRL" and not run.model_folder] == [
        {"TRAINER.MMRL.N_REP_TOKENS": count} for count in counts
    ]
    by_hand = {"TRAINER.MMRL.N_REP_TOKENS": [str(count) for count in counts]}
    same = expand(Request("base2new", ["MMRL"], ["clothing_64"], [1], grid=by_hand))
    assert [run.folder for run in same] == [run.folder for run in runs if run.trainer == "MMRL"]


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        (Request("base2now", ["MMRL"]), ["'base2now'", "Did you mean base2new?"]),
        (Request("xyz", ["MMRL"]), ["'xyz'", "base2new", "few_shot"]),
        (Request("base2new", ["MMLR"]), ["'MMLR'", "Did you mean MMRL?"]),
        (Request("base2new", ["MMRL"], ["dtdd"]), ["'dtdd'", "Did you mean dtd?"]),
        (Request("base2new", ["MMRL"], ["all", "dtd"]), ["'all'", "caltech101"]),
        (Request("base2new", []), ["--methods", "MMRLpp"]),
        (Request("base2new", ["MMRL"], presets=["fear"]), ["'fear'", "Did you mean fair?"]),
        (Request("base2new", ["CoOp"], grid={"TRAINER.MMRL.ALPHA": ["1"]}), ["TRAINER.MMRL.ALPHA", "CoOp"]),
        (Request("tokens", ["CoOp", "MaPLe"]), ["tokens varies TRAINER.MMRL.N_REP_TOKENS", "CoOp, MaPLe"]),
        (Request("base2new", ["CoOp"], grid={"SEED": ["1"]}), ["SEED", "--seeds"]),
    ],
)
def test_mistakes_name_what_there_is(request_, parts):
    with pytest.raises(PlanError) as error:
        expand(request_)
    assert all(part in str(error.value) for part in parts), error.value


def test_parts_are_whole_and_together_all():
    runs = expand(Request("cross_dataset", ["MMRL", "CoOp"], seeds=[1, 2, 3]))
    parts = [part_of(runs, index, 4) for index in (1, 2, 3, 4)]
    assert sorted(run.folder for part in parts for run in part) == sorted(run.folder for run in runs)
    for part in parts:
        own = {run.folder for run in part}
        assert part and all(run.model_folder in own for run in part if run.model_folder)


def test_words_of_a_grid():
    assert parse_grid(["A.B=1,2", "C=[1,2],[3]", "D=(0.5,1)", "E=a=b", "F="]) == {
        "A.B": ["1", "2"],
        "C": ["[1,2]", "[3]"],
        "D": ["(0.5,1)"],
        "E": ["a=b"],
        "F": [""],
    }
    for wrong in (["A"], ["A=,1"], ["=1"], ["1=1"], ["A=1,,2"], ["A=1", "A=2"]):
        with pytest.raises(PlanError, match="--set"):
            parse_grid(wrong)


def test_a_key_of_another_method_does_not_concern_this_one():
    grid = {"TRAINER.MMRL.ALPHA": [1, 2], "TRAINER.MMADAPTER.BOTTLENECK_DIM": [3], "OPTIM.LR": [0.1]}
    assert variants(grid, "MMA") == [{"TRAINER.MMADAPTER.BOTTLENECK_DIM": 3, "OPTIM.LR": 0.1}]
    assert len(variants(grid, "MMRL")) == 2 and variants({}, "MMRL") == [{}]


def test_folders_are_told_apart_by_values_only():
    assert folder_of({"A": [5, 6], "B": 0.5}) == folder_of({"B": "0.5", "A": "[5,6]"}) == "A=5+6,B=0.5"
    long = {f"TRAINER.MMRL.KEY{index}": list(range(12)) for index in range(9)}
    longer = {**long, "TRAINER.MMRL.KEY8": [1]}
    assert len(folder_of(long)) < 150 and folder_of(long) != folder_of(longer)
    assert "/" not in folder_of({"MODEL.BACKBONE.NAME": "ViT-B/16"})
