"""Byte-pair tokenizer of CLIP: text to ids and back.

The vocabulary is OpenAI's (see `clip/README.md` for where the file is from): the 256 bytes as characters,
the same 256 with an end-of-word mark, 48,894 merges in order of rank, and the two special words that frame
a prompt.
"""

from __future__ import annotations

import gzip
import html
import os
from collections.abc import Iterable
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import ftfy
import regex
import torch
from torch import Tensor

from safeio.errors import UserError
from safeio.escape import shown

VOCABULARY = Path(__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
SIZE = 49408
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
CONTEXT_LENGTH = 77
LONGEST_SYMBOL = 32
"""Bytes of the longest symbol of the vocabulary: eight smileys."""

# One piece is a special word, an English clitic, a run of letters, a single digit, or a run of other signs.
PIECE = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE
)


class TextTooLong(UserError, RuntimeError):
    """A text has more tokens than there are positions; the message quotes it."""


class Tokenizer:
    """Byte-pair encoding with the merges of one vocabulary file (gzip text, one pair of symbols a line)."""

    def __init__(self, vocabulary: str | os.PathLike = VOCABULARY):
        alphabet = list(byte_characters().values())
        merges = _read_merges(Path(vocabulary), SIZE - 2 * len(alphabet) - 2)
        symbols = [*alphabet, *(c + WORD_END for c in alphabet), *map("".join, merges), START, END]
        self.encoder: dict[str, int] = {symbol: index for index, symbol in enumerate(symbols)}
        self.rank = {pair: index for index, pair in enumerate(merges)}
        self._ids_of_piece = lru_cache(maxsize=1 << 16)(self._ids_of_piece)

    @cached_property
    def decoder(self) -> dict[int, str]:
        """Id to symbol."""
        return {index: symbol for symbol, index in self.encoder.items()}

    def encode(self, text: str, most: int | None = None) -> list[int]:
        """Ids of `text`, without the start and end marks.

        Args:
            most: number of ids after which the rest may be left out. Time grows with the square of a word's length, and
                a word may be a megabyte that somebody gave for a name.
        """
        longest, ids = None if most is None else (most + 1) * LONGEST_SYMBOL, []
        for piece in PIECE.finditer(clean(text)):
            ids += self._ids_of_piece(piece[0], longest)
            if most is not None and len(ids) > most:
                break
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Cleaned text of `ids`, each word followed by a blank; bytes that are no UTF-8 become U+FFFD."""
        characters = "".join(self.decoder[int(index)] for index in ids)
        byte_of = {character: byte for byte, character in byte_characters().items()}
        return bytes(byte_of[c] for c in characters).decode("utf-8", errors="replace").replace(WORD_END, " ")

    def _ids_of_piece(self, piece: str, longest: int | None) -> tuple[int, ...]:
        """Ids of a piece, of its first `longest` bytes if it has more."""
        if piece in (START, END):
            return (self.encoder[piece],)
        characters = [byte_characters()[byte] for byte in piece.encode("utf-8")]
        characters[-1] += WORD_END
        return tuple(self.encoder[symbol] for symbol in self._merge(characters[:longest]))

    def _merge(self, symbols: list[str]) -> list[str]:
        """Join neighbours, the pair of lowest rank first, until no pair is left that the vocabulary knows."""
        never = len(self.rank)
        while len(symbols) > 1:
            best = min(pairwise(symbols), key=lambda pair: self.rank.get(pair, never))
            if best not in self.rank:
                break
            merged = []
            for symbol in symbols:  # left to right: "a a a" with the pair (a, a) becomes "aa a"
                if merged and (merged[-1], symbol) == best:
                    merged[-1] += symbol
                else:
                    merged.append(symbol)
            symbols = merged
        return symbols


@cache
def default_tokenizer() -> Tokenizer:
    """The tokenizer with the shipped vocabulary, read once."""
    return Tokenizer()


def tokenize(texts: str | list[str], context_length: int = CONTEXT_LENGTH, truncate: bool = False) -> Tensor:
    """Frame texts with the start and end marks and pad them with zeros.

    Args:
        texts: one text or a list of them.
        context_length: tokens a text may have, marks included.
        truncate: cut what is too long (the last token is then the end mark) instead of refusing it.

    Returns:
        `(len(texts), context_length)` ids, int64.

    Raises:
        TextTooLong: a text is too long; the message quotes it.
    """
    tokenizer = default_tokenizer()
    start, end = tokenizer.encoder[START], tokenizer.encoder[END]
    texts = [texts] if isinstance(texts, str) else texts
    tokens = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(tokens, texts, strict=True):
        ids = [start, *tokenizer.encode(text, context_length), end]
        if len(ids) > context_length:
            if not truncate:
                raise TextTooLong(
                    f"The text {shown(text)} has at least {len(ids)} tokens (start and end included), but at most "
                    f"{context_length} fit into the context. Shorten it, or pass truncate=True to cut it."
                )
            ids = [*ids[: context_length - 1], end]
        row[: len(ids)] = torch.tensor(ids)
    return tokens


def clean(text: str) -> str:
    """Repair broken Unicode, resolve HTML entities (even nested), squeeze white space, lower the case."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return regex.sub(r"\s+", " ", text.strip()).strip().lower()


@cache
def byte_characters() -> dict[int, str]:
    """A printable character for each byte, in vocabulary order.

    Printable Latin-1 stands for itself, other bytes for U+0100 and up: no symbol holds a blank.
    """
    spans = ("!~", "¡¬", "®ÿ")
    printable = [byte for first, last in spans for byte in range(ord(first), ord(last) + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def _read_merges(path: Path, count: int) -> list[tuple[str, ...]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        next(file)  # a title
        return [tuple(next(file).split()) for _ in range(count)]
