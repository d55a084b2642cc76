"""Registries, and what they say about names they do not know."""

import pytest

from dassl.data.datasets import build_dataset
from dassl.engine import build_trainer
from dassl.evaluation import build_evaluator
from dassl.modeling import build_backbone, build_head, build_network
from dassl.utils import Registry, check_availability, get_most_similar_str_to_a_from_b


@pytest.fixture
def registry():
    registry = Registry("TRAINER")

    @registry.register()
    class CoOp: ...

    @registry.register()
    class MaPLe: ...

    return registry


def test_register_as_decorator_and_call(registry):
    def made_by_call(): ...

    registry.register(made_by_call)
    assert registry.get("made_by_call") is made_by_call
    assert registry.registered_names() == ["CoOp", "MaPLe", "made_by_call"]


def test_a_taken_name_is_refused_unless_forced(registry):
    def CoOp(): ...

    with pytest.raises(KeyError, match="CoOp"):
        registry.register(CoOp)
    assert registry.register(CoOp, force=True) is registry.get("CoOp")
    with pytest.raises(KeyError):
        registry.register()(CoOp)


def test_unknown_name_lists_what_exists_and_the_nearest(registry):
    with pytest.raises(KeyError) as error:
        registry.get("maple")
    assert str(error.value) == "Unknown trainer 'maple'. Did you mean 'MaPLe'? Available: CoOp, MaPLe"


def test_empty_registry_hints_at_a_missing_import():
    with pytest.raises(KeyError, match="imported"):
        Registry("HEAD").get("mlp")


def test_similarity():
    assert get_most_similar_str_to_a_from_b("oxford_pet", ["Food101", "OxfordPets"]) == "OxfordPets"
    assert get_most_similar_str_to_a_from_b("x", []) is None
    check_availability("a", ["a", "b"])
    with pytest.raises(ValueError, match="'adam'"):
        check_availability("adm", ["sgd", "adam"])


def test_builders_name_the_nearest(tiny_cfg):
    tiny_cfg.TRAINER.NAME = "Promted"
    tiny_cfg.DATASET.NAME = "Colors"
    tiny_cfg.TEST.EVALUATOR = "classification"
    for build, nearest in (
        (build_trainer, "Prompted"),
        (build_dataset, "Colours"),
        (build_evaluator, "Classif"),
    ):
        with pytest.raises(ValueError, match=f"Did you mean '{nearest}"):
            build(tiny_cfg)
    for build in (build_backbone, build_head, build_network):
        with pytest.raises(ValueError, match="nothing-like-this"):
            build("nothing-like-this")
