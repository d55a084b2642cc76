"""A finished run is taken for the one asked for only with the same settings and images."""

from __future__ import annotations

import os
import shutil

import pytest

import train
from datasets.base.metadata import lists_of
from runs.protocol import PlanError, plan
from runs.record import RunRecord
from runs.request import already_done, check_same_data, data_of, outside_of, same_value
from safeio.fingerprint import WHOLE, folder_fingerprint


@pytest.fixture
def birds(tmp_path):
    (tmp_path / "birds" / "wren").mkdir(parents=True)
    (tmp_path / "birds" / "wren" / "1.jpg").write_bytes(b"12")
    return tmp_path / "birds"


def finished(output, root, own_name="birds", replaced=None, **data):
    (run,) = plan("few_shot", "train", "MMRL", "folder", [1], [4], "photo", own_name)
    config = {"DATASET": {"NUM_SHOTS": 4, "NAME": "Folder", "OWN_NAME": own_name}}
    config |= {"OPTIM": {"MAX_EPOCH": 5, "LR": 0.001}, "SEED": 1}
    fields = {"config": config, "origins": {"OPTIM.MAX_EPOCH": "command line", "OPTIM.LR": "command line"}}
    fields |= {} if replaced is None else {"replaced": replaced}
    RunRecord(output / run.folder, {**fields, "data": data_of(str(root), True) | data}).complete({"accuracy": 50.0})
    return run


def test_own_images_have_folders_of_their_own():
    one, other = (plan("few_shot", "train", "MMRL", "folder", [1], [4], None, name)[0] for name in ("birds", "flowers"))
    assert "/birds/" in one.folder and "/flowers/" in other.folder
    assert one.options["DATASET.OWN_NAME"] == "birds"


def test_the_same_request_is_done(birds, tmp_path):
    run = finished(tmp_path, birds)
    assert already_done(run, tmp_path, str(birds))
    assert already_done(run, tmp_path, str(birds), ["OPTIM.MAX_EPOCH", "5", "OPTIM.LR", "1e-3", "USE_CUDA", "False"])
    moved = birds.rename(tmp_path / "elsewhere")
    assert already_done(run, tmp_path, str(moved))  # the same images at another place


@pytest.mark.parametrize(
    ("extra", "fragment"),
    [
        (["OPTIM.MAX_EPOCH", "9"], "OPTIM.MAX_EPOCH 5, not 9"),
        (["--train-epoch", "9"], "OPTIM.MAX_EPOCH 5, not 9"),
        (["OPTIM.LR=0.1"], "OPTIM.LR 0.001, not 0.1"),
    ],
)
def test_other_settings_are_named(extra, fragment, birds, tmp_path):
    with pytest.raises(PlanError, match=f"holds a complete run with {fragment}"):
        already_done(finished(tmp_path, birds), tmp_path, str(birds), extra)


def test_a_slip_is_no_finished_run(birds, tmp_path):
    with pytest.raises(PlanError, match=r"Unknown key 'OPTIM\.LRR' in command line; the nearest is OPTIM\.LR"):
        already_done(finished(tmp_path, birds), tmp_path, str(birds), ["OPTIM.LRR", "1"])


WRONG = [("OPTIM.MAX_EPOCH", "one", "a number"), ("OPTIM.LR", "[1]", "a number"), ("SEED", "True", "a number")]


@pytest.mark.parametrize(("key", "value", "wanted"), WRONG)
def test_a_wrong_value_is_no_other_setting(key, value, wanted, birds, tmp_path):
    with pytest.raises(PlanError, match=rf"{key} in command line is .*, expected {wanted} such as"):
        already_done(finished(tmp_path, birds), tmp_path, str(birds), [key, value])


def test_a_setting_that_is_asked_for_no_longer_is_named(birds, tmp_path):
    run = finished(tmp_path, birds, replaced={"OPTIM.MAX_EPOCH": 9, "TRAIN.TRACK": ["wandb"], "SEED": -1})
    with pytest.raises(PlanError, match=r"holds a complete run with OPTIM\.MAX_EPOCH 5, not 9\. Choose"):
        already_done(run, tmp_path, str(birds))
    assert already_done(run, tmp_path, str(birds), ["OPTIM.MAX_EPOCH", "5"])


@pytest.mark.parametrize("extra", [[], ["--train-epoch", "1"], ["OPTIM.LR", "0.1"], ["--deterministic"]])
def test_only_the_same_words_find_a_run_with_settings_of_its_own(extra, tmp_path):
    """Records what a real command line gives, and asks with every other one."""
    others = [[], ["--train-epoch", "1"], ["OPTIM.LR", "0.1"], ["--deterministic"]]
    (run,) = plan("few_shot", "train", "CoOp", "caltech101_64", [1], [4], "photo")
    args = train.parse(run.arguments(tmp_path, str(tmp_path), extra))
    RunRecord(tmp_path / run.folder, train.record_fields(train.settings_of_run(args), args)).complete({"accuracy": 1.0})
    for other in others:
        if other == extra:
            assert already_done(run, tmp_path, str(tmp_path), other)
        else:
            with pytest.raises(PlanError, match="holds a complete run with"):
                already_done(run, tmp_path, str(tmp_path), other)


def test_other_images_are_named(birds, tmp_path):
    run = finished(tmp_path, birds)
    other = tmp_path / "more" / "birds"
    (other / "wren").mkdir(parents=True)
    with pytest.raises(PlanError, match=f"the images of {birds} .*not those of {other}"):
        already_done(run, tmp_path, str(other))
    record = RunRecord(tmp_path / run.folder, {"data": data_of(str(other), True)})
    with pytest.raises(PlanError, match="run on other images"):
        check_same_data(record)


def test_another_split_of_a_benchmark_is_named(tmp_path):
    (run,) = plan("few_shot", "train", "MMRL", "dtd", [1], [4], "photo")
    split = tmp_path / "data" / "dtd" / "split_zhou_DescribableTextures.json"
    split.parent.mkdir(parents=True)
    split.write_text("{}")
    root = str(tmp_path / "data")
    data = data_of(root, False, lists_of("DescribableTextures"))
    record = RunRecord(tmp_path / run.folder, {"config": {"SEED": 1}, "data": data})
    record.complete({"accuracy": 50.0})
    assert list(data["lists"]) == ["dtd/split_zhou_DescribableTextures.json"]
    assert already_done(run, tmp_path, root) and already_done(run, tmp_path, str(tmp_path / "nowhere"))
    split.write_text('{"train": []}')
    with pytest.raises(PlanError, match=r"complete run with the list .*dtd.split_zhou.* another"):
        already_done(run, tmp_path, root)
    with pytest.raises(PlanError, match="holds a run with the list"):
        check_same_data(RunRecord(tmp_path / run.folder, {"data": data_of(root, False)}))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp"])
def test_an_image_replaced_under_its_name_is_another(ending, birds, tmp_path):
    image = birds / "wren" / f"7.{ending}"
    image.write_bytes(b"a" * 9000)
    run = finished(tmp_path, birds)
    image.write_bytes(b"b" * 9000)
    with pytest.raises(PlanError, match=f"the images of {birds} "):
        already_done(run, tmp_path, str(birds))


def test_times_of_change_do_not_count(birds):
    first = folder_fingerprint(birds)
    for path in birds.rglob("*"):
        os.utime(path, (1, 1))
    assert folder_fingerprint(birds) == first


def test_images_behind_links_count_and_links_in_a_circle_end(birds, tmp_path):
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "wren").symlink_to(birds / "wren")
    (birds / "wren" / "up").symlink_to(birds)
    first = folder_fingerprint(tmp_path / "view")
    next((birds / "wren").glob("*.*")).write_bytes(b"another")
    assert folder_fingerprint(tmp_path / "view") != first


@pytest.mark.parametrize("size", [100, WHOLE + 10])
def test_a_label_changed_in_a_list_or_archive_counts(size, tmp_path):
    (tmp_path / "train.tar").write_bytes(b"3" * size)
    first = folder_fingerprint(tmp_path)
    with open(tmp_path / "train.tar", "r+b") as file:
        file.seek(size // 257 if size > WHOLE else 50)  # of a large one, samples
        file.write(b"5")
    assert folder_fingerprint(tmp_path) != first


def test_of_very_many_files_some_count_by_content(tmp_path, monkeypatch):
    monkeypatch.setattr("safeio.fingerprint.SAMPLED", 4)
    read = []
    monkeypatch.setattr("safeio.fingerprint._blocks", lambda path, size, content: read.append(path.name) or [])
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    folder_fingerprint(tmp_path)
    assert read == ["0.jpg", "3.jpg", "6.jpg", "9.jpg"]


def test_images_outside_the_lists_folder_count(birds, tmp_path):
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "1.jpg").write_bytes(b"a" * 50)
    run = finished(tmp_path, birds, outside=outside_of([str(pool)]))
    assert already_done(run, tmp_path, str(birds))
    (pool / "1.jpg").write_bytes(b"b" * 50)
    with pytest.raises(PlanError, match=f"the images in {pool} .* now others"):
        already_done(run, tmp_path, str(birds))
    with pytest.raises(PlanError, match=f"the images in {pool}"):
        check_same_data(RunRecord(tmp_path / run.folder, {"data": data_of(str(birds), True)}))
    shutil.rmtree(pool)  # the data was moved: nothing is known
    assert already_done(run, tmp_path, str(birds))


def test_fingerprints_of_another_way_say_nothing(birds, tmp_path):
    run = finished(tmp_path, birds, fingerprint="0" * 64, fingerprints=1)
    assert already_done(run, tmp_path, str(birds))


def test_a_fingerprint_sees_what_matters(birds):
    first = folder_fingerprint(birds)
    (birds / ".hidden").write_text("x")
    assert folder_fingerprint(birds) == first
    (birds / "classnames.txt").write_text("wren\n")
    second = folder_fingerprint(birds)
    (birds / "classnames.txt").write_text("Wren\n")
    assert len({first, second, folder_fingerprint(birds)}) == 3


PAIRS = [(0.001, "1e-3"), ([224, 224], "(224, 224)"), (["wandb"], "wandb"), (True, "True"), ("a b", "a b")]


@pytest.mark.parametrize(("there", "wanted"), PAIRS)
def test_values_are_compared_however_they_are_written(there, wanted):
    assert same_value(there, wanted) and not same_value(there, "7")
