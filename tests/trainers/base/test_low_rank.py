"""Blocks that a position of CLIP-LoRA names."""

from __future__ import annotations

import pytest

from trainers.base.low_rank import POSITIONS, blocks_at

TWELVE = {
    "all": range(1, 13), "top3": range(10, 13), "bottom": range(1, 5), "mid": range(5, 9), "up": range(9, 13),
    "half-up": range(7, 13), "half-bottom": range(1, 7),
}  # fmt: skip


@pytest.mark.parametrize("position", POSITIONS)
def test_twelve_blocks_are_those_published(position):
    assert blocks_at(position, 12) == list(TWELVE[position])


@pytest.mark.parametrize("position", POSITIONS)
def test_a_shallower_encoder_has_the_published_blocks_that_exist(position):
    assert blocks_at(position, 5) == [layer for layer in TWELVE[position] if layer <= 5]


def test_a_deeper_encoder_is_divided_in_the_same_way():
    assert blocks_at("half-up", 24) == list(range(13, 25))
    assert blocks_at("bottom", 24) == list(range(1, 9))
