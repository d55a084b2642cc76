"""Runs to try: the answers to the page's requests, independent of HTTP."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from dassl.config import ConfigError
from inference.classes import ClassesError, check_classes
from inference.demo.rules import in_words
from inference.labelled_images import Labelled, test_images
from inference.output import notes
from inference.predictor import Predictor
from inference.run_folder import RunError
from inference.visualize.attention import as_seen, attention_maps
from runs.names import dataset_long_name, method_name
from safeio.errors import UserError
from safeio.images import read_image
from safeio.packed_images import is_packed, packed_bytes

EXAMPLES = 8
SHOWN = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Endings of images that browsers show."""
NAMES_TO_START = 200
"""Class names that the page begins with at most, so that it stays quick."""


class Trial:
    """Runs side by side.

    Args:
        runs: the models; examples: images with their class names, to begin with.
    """

    def __init__(self, runs: Sequence[Predictor], examples: Labelled = ()):
        self.runs, self.examples = list(runs), list(examples)
        self._one_at_a_time = threading.Lock()
        self._for_names = lru_cache(maxsize=16)(self._models)

    def about(self) -> dict[str, Any]:
        """Return the page's initial content: runs, class names, examples."""
        facts = [_facts(run) for run in self.runs]
        titles = [one["title"] for one in facts]
        for i, title in enumerate(titles):
            if titles.count(title) > 1:  # runs of one method: told apart by number, in the head and above the answers
                facts[i]["title"] = f"{title} ({titles[: i + 1].count(title)})"
        return {
            "runs": facts,
            "names": list(self.runs[0].classes)[:NAMES_TO_START],
            "examples": [name for _, name in self.examples],
        }

    def example(self, number: int) -> bytes | None:
        """Return an example's file; None where there is none of that number."""
        if not 0 <= number < len(self.examples):
            return None
        path = str(self.examples[number][0])
        return packed_bytes(path) if is_packed(path) else Path(path).read_bytes()

    def answers(self, image: bytes, names: Sequence[str], topk: int) -> list[dict[str, Any]]:
        """Return each run's best classes of an image, or why it has no answer.

        Raises:
            UserError: the image cannot be read, or the names cannot be used.
        """
        opened = read_image(image, upright=True)
        chosen = check_classes(names, "the box of class names")
        with self._one_at_a_time:
            return [
                {"problem": one} if isinstance(one, str) else _answer(one, opened, topk)
                for one in self._for_names(chosen)
            ]

    def attention(self, image: bytes, run: int) -> dict[str, Any]:
        """Return where the image encoders look: per layer, fractions of attention of each patch.

        Raises:
            UserError, ValueError: the image cannot be read, or the encoder is no vision transformer.
        """
        predictor = self.runs[run]
        with self._one_at_a_time:
            seen = predictor.transform(read_image(image, upright=True))[None]
            before, after = attention_maps(predictor, seen)
        method = method_name(predictor.run.record["method"])
        layers = []
        for layer, own in sorted(after.class_token.items()):
            maps = {"CLIP, class token": before.class_token[layer][0]}
            if predictor.method.state_dict():
                maps[f"{method}, class token"] = own[0]
            learned = after.learned.get(layer)
            maps |= {} if learned is None else {f"token {k + 1}": one for k, one in enumerate(learned[0])}
            layers.append(
                {
                    "layer": layer,
                    "maps": {name: [[round(v, 5) for v in row] for row in m.tolist()] for name, m in maps.items()},
                }
            )
        return {"image": _data_url(as_seen(seen[0], predictor)), "layers": layers}

    def _models(self, names: tuple[str, ...]) -> list[Predictor | str]:
        return [_asked(run, names) for run in self.runs]


def examples_of(predictor: Predictor, dataset: str = "") -> Labelled:
    """Return a test image of each of some classes of the run's dataset, or of another; none where it is not at hand."""
    run = predictor.run
    try:
        found = [(path, name) for path, name in test_images(run, dataset) if Path(path).suffix.lower() in SHOWN]
    except (RunError, ConfigError, KeyError):
        return []
    first = {name: path for path, name in reversed(found)}
    known = [name for name in run.classes if name in first] or list(first)
    step = max(1, len(known) // EXAMPLES)
    return [(first[name], name) for name in known[::step][:EXAMPLES]]


def _asked(run: Predictor, names: Sequence[str]) -> Predictor | str:
    """Return the run for these classes, or why it cannot have them."""
    try:
        return run.with_classes(names)
    except (ClassesError, UserError) as error:
        return str(error)


def _answer(predictor: Predictor, image: Any, topk: int) -> dict[str, Any]:
    (one,) = predictor.predict_images([image], topk)
    trained = bool(predictor.method.state_dict())
    new = {name for name, seen in zip(predictor.classes, predictor.seen, strict=True) if trained and not seen}
    return {
        "notes": notes(predictor),
        "rules": {rule: in_words(rule) for rule in dict.fromkeys(predictor.rules)},
        "top": [
            {"class": name, "probability": probability, "rule": rule, "new": name in new}
            for name, probability, rule in zip(one.classes, one.probabilities, one.rules, strict=True)
        ],
    }


def _facts(predictor: Predictor) -> dict[str, Any]:
    """Return a run's head line and the folder that tells it from others."""
    run, record = predictor.run, predictor.run.record
    backbone = run.cfg.MODEL.BACKBONE.NAME
    if not predictor.method.state_dict():
        return {"title": "CLIP, zero-shot", "facts": [Path(backbone).name, "nothing was trained"], "folder": ""}
    facts = [dataset_long_name(record.get("dataset") or run.cfg.DATASET.NAME)]
    facts += [f"{record['shots']} shots"] if record.get("shots", -1) > 0 else []
    facts += [f"seed {record['seed']}"] if "seed" in record else []
    facts += [Path(backbone).name if Path(backbone).is_file() else backbone, f"{len(run.classes)} classes"]
    accuracy = record.get("metrics", {}).get("accuracy")
    facts += [f"accuracy {accuracy:.1f} % on its test images"] if accuracy is not None else ["not tested"]
    facts += [] if run.complete else [f"not complete: {record.get('status')}"]
    folder = "/".join(run.folder.resolve().parts[-3:])
    return {"title": method_name(record["method"]), "facts": facts, "folder": folder}


def _data_url(image: Any) -> str:
    """Return an image (S, S, 3) in 0..1 as a PNG within a URL."""
    from torchvision.transforms.functional import to_pil_image

    held = io.BytesIO()
    to_pil_image(image.permute(2, 0, 1)).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()
