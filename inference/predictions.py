"""Predictions of a model for images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inference.images import Unreadable

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Prediction:
    """The best classes of an image, best first.

    Attributes:
        path: the file; None for an image in memory.
        classes, probabilities: the top k, the latter a fraction of all classes asked for.
        rules: name of the rule that scored each of them.
    """

    path: Path | None
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    rules: tuple[str, ...]

    @property
    def label(self) -> str:
        """The best class."""
        return self.classes[0]

    @property
    def probability(self) -> float:
        """The best class's probability."""
        return self.probabilities[0]

    def __repr__(self) -> str:
        best = zip(self.classes, self.probabilities, strict=True)
        named = ", ".join(f"{name} {100 * fraction:.1f} %" for name, fraction in best)
        return f"<{self.path or 'image'}: {named}>"


class Predictions(list[Prediction]):
    """A prediction for each readable image, in the order given; `unreadable` lists the others."""

    def __init__(self, found: Iterable[Prediction] = (), unreadable: Iterable[Unreadable] = ()):
        super().__init__(found)
        self.unreadable = list(unreadable)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table: an image a row, best class first."""
        import pandas

        return pandas.DataFrame(
            {
                "image": [str(one.path or index) for index, one in enumerate(self)],
                "class": [one.label for one in self],
                "probability": [one.probability for one in self],
                "rule": [one.rules[0] for one in self],
                "others": [dict(zip(one.classes[1:], one.probabilities[1:], strict=True)) for one in self],
            }
        )

    def __repr__(self) -> str:
        skipped = [f"and {len(self.unreadable)} unreadable, see .unreadable"] if self.unreadable else []
        return "\n".join([f"{len(self)} predictions:", *map(repr, self[:10]), *(["..."] * (len(self) > 10)), *skipped])
