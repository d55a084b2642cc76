"""The tokenizer under the import path that method files written for OpenAI's package use."""

from __future__ import annotations

from clip.tokenizer import Tokenizer


class SimpleTokenizer(Tokenizer):
    """`encode`, `decode`, `encoder` and `decoder` as method files expect them."""
