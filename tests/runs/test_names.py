"""Every method and dataset has one display name, and either spelling finds it."""

import pytest

import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY
from runs import names
from runs.protocol import datasets, methods


def test_spellings_are_not_shared():
    for kind in ("methods", "datasets"):
        entries = names._entries(kind)
        shown = [entry.get("name", entry.get("short")) for entry in entries.values()]
        assert len(set(shown)) == len(shown)
        assert all(
            names.registry_name(kind, name) == registered for name, registered in zip(shown, entries, strict=True)
        )


@pytest.mark.parametrize("method", TRAINER_REGISTRY.registered_names())
def test_every_registered_method_has_a_name_and_a_paper(method):
    entry = names._entries("methods").get(method, {})
    assert entry.get("name") and f"{{{entry['cite']}," in names.BIBLIOGRAPHY.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", methods())
def test_either_spelling_of_a_method(method):
    assert names.find_method(names.method_name(method), methods()) == method
    assert names.find_method(method, methods()) == method


@pytest.mark.parametrize(
    ("spelling", "config"),
    [("DTD", "dtd"), ("Flowers102", "oxford_flowers"), ("DescribableTextures", "dtd"), ("ImageNet-V2", "imagenetv2")],
)
def test_either_spelling_of_a_dataset(spelling, config):
    assert names.find_dataset(spelling, datasets()) == config
    assert names.find_dataset("no such", datasets()) == "no such"
