"""Learned context vectors: their start values, and class prompts with positions for them.

A context of N vectors stands right after the start token, or around or after the class name; it replaces the embeddings
of placeholder tokens, which are never read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clip.prompt_batch import PromptBatch
from clip.tokenizer import TextTooLong, tokenize
from dassl.config import ConfigError
from trainers.base.frozen_clip import FrozenCLIP

POSITIONS = ("end", "middle", "front")
"""Positions of the class name: after the context, between its halves, before it."""
ROWS_FROM_WORDS = 4
"""Largest number of rows that `start_context` starts from words."""
N_CTX = "N_CTX"
"""Name of the setting that most methods have the number of rows from, for messages."""


def start_from_words(clip: FrozenCLIP, words: str, count: int, key: str = N_CTX) -> Tensor:
    """Embeddings of the first `count` tokens of `words`, (N, D), float32.

    Raises:
        dassl.config.ConfigError: the words have fewer tokens.
    """
    ids = tokenize(words)[0]
    there = int(ids.argmax()) - 1
    if not 1 <= count <= there:
        raise ConfigError(f"CTX_INIT {words!r} has {there} tokens; it cannot start a context of {count} ({key})")
    with torch.no_grad():
        return clip.model.token_embedding(ids[1 : 1 + count].to(clip.device)).float().clone()


def start_at_random(clip: FrozenCLIP, *shape: int) -> Tensor:
    """Context rows (..., D), normal with deviation 0.02."""
    return torch.empty(*shape, clip.model.transformer.width).normal_(std=0.02)


def start_context(clip: FrozenCLIP, words: str, count: int, key: str = N_CTX) -> tuple[Tensor, str]:
    """Start a context as MaPLe does: from the first `count` words, above ROWS_FROM_WORDS at random.

    Returns:
        The rows (N, D), and the words that prompts are to begin with: placeholders if the start is random.
    """
    words = plain_words(words)
    if words and count <= ROWS_FROM_WORDS:
        return start_from_words(clip, words, count, key), words
    return start_at_random(clip, count), placeholders(count)


def unread_words(count: int, key: str = N_CTX) -> dict[str, str]:
    """Return why CTX_INIT has no effect on `start_context`, as `Method.unread` does; nothing where it has one."""
    if count <= ROWS_FROM_WORDS:
        return {}
    return {"CTX_INIT": f"words start {ROWS_FROM_WORDS} rows at most, {key} is {count}"}


def start_whole_context(clip: FrozenCLIP, words: str, *shape: int) -> tuple[Tensor, str]:
    """Start a context as CoOp and CoCoOp do: a vector for each of `words`; without words at random, (*shape, D).

    Returns:
        The rows, and the words that prompts are to begin with.
    """
    words = plain_words(words)
    if words:
        return start_from_words(clip, words, len(words.split())), words
    return start_at_random(clip, *shape), placeholders(shape[-1])


def plain_words(words: str) -> str:
    """Return words separated by spaces; published scripts write a_photo_of_a."""
    return " ".join(words.replace("_", " ").split())


def placeholders(count: int) -> str:
    """Return placeholder words for `count` learned vectors."""
    return " ".join(["X"] * count)


def context_prompts(
    clip: FrozenCLIP,
    classnames: Sequence[str],
    words: str,
    count: int,
    position: str = "end",
    per_class: bool = False,
    ending: str = ".",
    key: str = N_CTX,
) -> PromptBatch:
    """Return prompts "WORDS name." whose first `count` tokens are positions of a learned context.

    Args:
        words: what the prompts begin with, `count` tokens or more; further ones stay as they are.
        position: where the name stands, one of POSITIONS; other than at the end, `words` must be the context alone.
        per_class: class c reads rows c * count to (c + 1) * count of the context.
        ending: what follows the name, in place of the full stop.
        key: names of the settings that `count` and `words` come from, for messages.

    Raises:
        dassl.config.ConfigError: an unknown position, words that are too few or, for a name in their midst, too many,
            or a name that does not fit after the context.
    """
    if position not in POSITIONS:
        raise ConfigError(f"CLASS_TOKEN_POSITION is {position!r}; it must be one of {', '.join(POSITIONS)}")
    names = [name.replace("_", " ") for name in classnames]
    try:
        there = int(tokenize(words)[0].argmax()) - 1
        ids = tokenize([f"{words} {name}{ending}" for name in names], context_length=clip.model.context_length)
    except TextTooLong as error:
        raise ConfigError(f"A context of {count} ({key}) leaves no room for the class name. {error}") from error
    if there < count or (position != "end" and there > count):
        where = "" if position == "end" else f" where the class name stands in the {position} (CLASS_TOKEN_POSITION)"
        raise ConfigError(
            f"The class prompts begin with {words!r}, {there} tokens; they cannot hold a context of {count} ({key})"
            f"{where}"
        )
    slots = torch.full_like(ids, -1)
    slots[:, 1 : 1 + count] = torch.arange(count)
    if per_class:
        slots[:, 1 : 1 + count] += count * torch.arange(len(ids))[:, None]
    if position != "end":
        before = {"middle": count // 2, "front": 0}[position]
        lengths = tokenize(names, context_length=clip.model.context_length).argmax(dim=1) - 1
        order = torch.stack([_name_moved(ids.shape[1], int(n), count, before) for n in lengths])
        ids, slots = ids.gather(1, order), slots.gather(1, order)
    return PromptBatch(ids, slots=slots, device=clip.device)


def _name_moved(positions: int, name: int, context: int, before: int) -> Tensor:
    """Order of positions that puts the name's tokens after the first `before` rows of the context."""
    order = list(range(positions))
    first, last = 1 + context, 1 + context + name
    moved = order[:1] + order[1 : 1 + before] + order[first:last] + order[1 + before : first] + order[last:]
    return torch.tensor(moved)
