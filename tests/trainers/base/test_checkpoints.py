"""A checkpoint of another run is refused with both values; what published protocols change may differ."""

import pytest
import torch

from dassl.utils.checkpoint import load_checkpoint
from trainers.base.checkpoints import CheckpointMismatch, check_resumed

NAMES = ("red square", "green_field", "blue")
OTHERS = ("amber", "teal")


@pytest.fixture(scope="module")
def saved(workshop, tmp_path_factory):
    """Folder of a CoOp checkpoint on `ViT-B-32`."""
    folder = tmp_path_factory.mktemp("saved")
    workshop.build("CoOp", "ViT-B-32", NAMES, N_CTX=4).save_model(0, folder)
    return folder


def refusal(saved, trainer) -> str:
    before = {name: p.detach().clone() for name, p in trainer.method.named_parameters()}
    with pytest.raises(CheckpointMismatch) as refused:
        trainer.load_model(saved)
    assert all(torch.equal(p, before[name]) for name, p in trainer.method.named_parameters())
    assert str(saved) in str(refused.value)
    return str(refused.value)


def loads(saved, trainer) -> bool:
    """Load a checkpoint; return whether its values, all drawn at random, are the method's now."""
    (file,) = saved.rglob("model.pth.tar-*")
    learned = load_checkpoint(file)["state_dict"]
    own = dict(trainer.method.named_parameters())
    different = not any(torch.equal(own[name], value) for name, value in learned.items())
    trainer.load_model(saved)
    return different and all(torch.equal(own[name].float(), value.float()) for name, value in learned.items())


def test_the_same_run_and_other_strengths_load(workshop, saved):
    assert loads(saved, workshop.build("CoOp", "ViT-B-32", NAMES, N_CTX=4, PREC="bf16"))
    assert loads(saved, workshop.build("CoOp", "ViT-B-32", OTHERS, "unseen", N_CTX=4))
    assert loads(saved, workshop.build("CoOp", "ViT-B-32", NAMES[1:], N_CTX=4))  # a part of the trained classes


def test_a_weights_file_may_have_moved(workshop, saved, tmp_path):
    (tmp_path / "elsewhere.pt").write_bytes((workshop.folder / "ViT-B-32.pt").read_bytes())
    workshop.sides[str(tmp_path / "elsewhere")] = workshop.sides["ViT-B-32"]
    assert loads(saved, workshop.build("CoOp", str(tmp_path / "elsewhere"), NAMES, N_CTX=4))


def test_another_backbone(workshop, saved):
    said = refusal(saved, workshop.build("CoOp", "RN50", NAMES, N_CTX=4))  # the learned context has the same shape
    assert "ViT-B-32.pt (VisionTransformer" in said and "RN50.pt (ModifiedResNet" in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"N_CTX": 5}, "N_CTX: 4 there, 5 here"),
        ({"N_CTX": 4, "CLASS_TOKEN_POSITION": "front"}, "CLASS_TOKEN_POSITION: 'end' there, 'front' here"),
        ({"N_CTX": 4, "CSC": True}, "CSC: False there, True here"),
    ],
)
def test_other_settings(workshop, saved, settings, words):
    assert words in refusal(saved, workshop.build("CoOp", "ViT-B-32", NAMES, **settings))


def test_another_method(workshop, saved):
    said = refusal(saved, workshop.build("CoCoOp", "ViT-B-32", NAMES, N_CTX=4))
    assert "TRAINER.NAME: CoOp there, CoCoOp here" in said


def test_new_classes_with_the_rule_for_trained_ones(workshop, saved):
    said = refusal(saved, workshop.build("CoOp", "ViT-B-32", OTHERS, "seen", N_CTX=4))
    assert "3 (red square, green_field, blue)" in said and "2 (amber, teal)" in said
    assert "'amber' and 1 others" in said and "TEST.CLASSES unseen" in said


def test_a_context_per_class_is_for_its_classes(workshop, tmp_path):
    workshop.build("CoOp", "ViT-B-32", NAMES, CSC=True).save_model(0, tmp_path)
    workshop.build("CoOp", "ViT-B-32", NAMES, CSC=True).load_model(tmp_path)
    said = refusal(tmp_path, workshop.build("CoOp", "ViT-B-32", [*NAMES, "teal"], CSC=True))
    assert "3 (red square, green_field, blue)" in said and "4 (red square, green_field, blue ...)" in said


@pytest.mark.parametrize("name", ["CoOp", "TaskRes", "ZSLP", "LinearProbe", "DePTKgCoOp"])
def test_parts_of_single_classes_follow_their_names(workshop, tmp_path, name):
    """Some of the trained classes are asked for, in any order; a second checkpoint may follow the first."""
    whole, images = workshop.build(name, "ViT-B-32", NAMES, CSC=True), workshop.batch("ViT-B-32", 3, 2)["img"]
    for parameter in whole.method.parameters():
        parameter.data += torch.randn_like(parameter)
    whole.save_model(0, tmp_path)
    whole.set_model_mode("eval")
    for asked in (NAMES[::-1], NAMES[2:], NAMES, NAMES[1:]):
        part = workshop.build(name, "ViT-B-32", asked, CSC=True)
        for _ in range(2):
            part.load_model(tmp_path)
        part.set_model_mode("eval")
        wanted = whole.model_inference(images)[:, [NAMES.index(one) for one in asked]]
        torch.testing.assert_close(part.model_inference(images), wanted)


def test_fractions_may_differ_in_testing_but_not_in_training(workshop, tmp_path):
    workshop.build("MMRL", "ViT-B-32", NAMES, REG_WEIGHT=2.0).save_model(0, tmp_path)
    other = workshop.build("MMRL", "ViT-B-32", NAMES, REG_WEIGHT=5.0)
    other.load_model(tmp_path)
    with pytest.raises(CheckpointMismatch, match=r"REG_WEIGHT: 2\.0 there, 5\.0 here.*--output-dir"):
        other.resume_model_if_exist(tmp_path)


def test_resuming_under_another_optimiser_or_seed(workshop, saved):
    same = workshop.build("CoOp", "ViT-B-32", NAMES, N_CTX=4)
    own = same.about()
    check_resumed(own, own, "it")
    assert same.resume_model_if_exist(saved) == 1
    changed = {**own, "course": own["course"] | {"OPTIM.LR": 0.5, "SEED": 7, "DATALOADER.TRAIN_X.BATCH_SIZE": 1}}
    with pytest.raises(CheckpointMismatch) as refused:
        check_resumed(own, changed, "it")
    message = str(refused.value)
    assert "OPTIM.LR: 0.01 there, 0.5 here" in message and "SEED: 1 there, 7 here" in message
    assert "TRAIN_X.BATCH_SIZE: 32 there, 1 here" in message


def test_what_says_nothing_of_itself_is_held_to_its_shapes(workshop, saved, tmp_path):
    content = load_checkpoint(saved / "prompt_learner" / "model.pth.tar-1")
    (tmp_path / "prompt_learner").mkdir()
    torch.save({"state_dict": content["state_dict"], "epoch": 1}, tmp_path / "prompt_learner" / "model.pth.tar-1")
    workshop.build("CoOp", "ViT-B-32", NAMES, N_CTX=4).load_model(tmp_path)
    with pytest.raises(RuntimeError, match=r"ctx.*\[4, 128\].*\[5, 128\]"):
        workshop.build("CoOp", "ViT-B-32", NAMES, N_CTX=5).load_model(tmp_path)
