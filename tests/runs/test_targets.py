"""ImageNet's variants and own images are tested with ImageNet's model."""

from __future__ import annotations

import pytest

from runs.protocol import plan


@pytest.mark.parametrize("name", ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r", "eurosat", "folder"])
def test_targets_are_tested_with_the_model_of_imagenet(name):
    for run in plan("cross_dataset", "test", "MMRL", name):
        assert "/train/imagenet/" in run.model_folder
