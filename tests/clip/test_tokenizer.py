"""Ids equal those of OpenAI's tokenizer (stored) and of open_clip's (run beside ours)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer as Reference

from clip.simple_tokenizer import SimpleTokenizer
from clip.tokenizer import END, SIZE, START, default_tokenizer, tokenize

GOLDEN = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parents[1] / "golden")
ITEMS = json.loads((GOLDEN / "tokenizer.json").read_text(encoding="utf-8"))["items"]
reference = Reference()


@pytest.mark.parametrize("item", ITEMS, ids=range(len(ITEMS)))
def test_golden(item):
    text = item["text"]
    tokenizer = default_tokenizer()
    assert tokenizer.encode(text) == item["encode"]
    assert tokenizer.decode(item["encode"]) == item["decode"]
    assert tokenize(text, truncate=True)[0].tolist() == item["tokenize_truncate"]
    if item["tokenize_error"] is None:
        assert tokenize([text])[0].tolist() == item["tokenize_truncate"]
    else:
        assert item["tokenize_error"] == "RuntimeError"
        with pytest.raises(RuntimeError):
            tokenize([text])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_as_open_clip(text):
    """open_clip has other names for OpenAI's start and end token."""
    assume(not any(token in text.lower() for token in (START, END, "<start_of_text>", "<end_of_text>")))
    ids = reference.encode(text)
    assert default_tokenizer().encode(text) == ids
    assert default_tokenizer().decode(ids) == reference.decode(ids)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_categories=()), max_size=30))
@example("caf\udce9")  # a folder's name in another encoding than UTF-8, as Python hands it on
@example("\ud83d")  # half of an image sign, which JSON can hold
@example("<|endoftext|><|startoftext|>")
@example("a\x00b")
@example("&#55357;&#x110000;")  # numbers of no character
@example("\u202e\ufeff\u200d")
def test_what_is_no_character_has_ids_too(text):
    ids = default_tokenizer().encode(text)
    assert all(0 <= index < SIZE for index in ids)
    assert isinstance(default_tokenizer().decode(ids), str)
    assert tokenize(text, truncate=True).shape == (1, 77)


KNOWN = st.sampled_from(["a", "photo", "of", "Chevrolet_C1500", "cat's", "x" * 30, "3.5", "ÉCOLE", "&amp;"])
MADE_UP = st.from_regex(r"[a-zA-Z0-9'.,-]{1,12}", fullmatch=True)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(KNOWN | MADE_UP, max_size=60))
def test_sentences_as_open_clip(words):
    text = " ".join(words)
    assert torch.equal(tokenize(text, truncate=True), reference(text))


def test_shape_and_type():
    tokens = tokenize(["a cat", "a dog", ""], context_length=5)
    assert tokens.shape == (3, 5) and tokens.dtype == torch.int64
    assert tokens[2].tolist() == [49406, 49407, 0, 0, 0]
    assert tokenize([]).shape == (0, 77)


def test_too_long_quotes_the_text_and_its_length():
    with pytest.raises(RuntimeError, match=r"'a photo of a yellow dog' has at least 8 tokens.*at most 7"):
        tokenize(["a cat", "a photo of a yellow dog"], context_length=7)


def test_plugin_names():
    tokenizer = SimpleTokenizer()
    assert len(tokenizer.encoder) == len(tokenizer.decoder) == SIZE
    assert tokenizer.encoder[START] == 49406 and tokenizer.encoder[END] == 49407
    assert tokenizer.decode(tokenizer.encode("A photo of a Cat.")) == "a photo of a cat . "
    assert tokenizer.decode(torch.tensor([320, 2368])) == "a cat "
