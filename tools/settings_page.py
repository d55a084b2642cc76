"""Write docs/settings.md: the settings of every run, then each method's by protocol, with the file it was read in.

python -m tools.settings_page [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.pages import PROJECT, make_parser, update

if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser(__doc__).parse_args()

import yaml
from yacs.config import CfgNode

import datasets  # noqa: F401  (registers the datasets)
import trainers  # noqa: F401  (registers the methods)
from dassl.config.defaults import ENGINE
from dassl.engine import TRAINER_REGISTRY
from runs.protocol import CONFIGS, PlannedRun, load_protocol, methods, plan, protocols_of, stages_of
from runs.sources import sources_of, unverified
from runs.train_arguments import parse_words
from safeio.trees import leaves
from trainers.base.harness_settings import HARNESS
from trainers.base.run_settings import settings_of_run
from trainers.base.setting import rows

PAGE = PROJECT / "docs" / "settings.md"
PROTOCOLS = {"base2new": "base-to-novel", "few_shot": "few-shot", "cross_dataset": "cross-dataset"}
TYPICAL = "caltech101"
"""A dataset that hardly any method has values of its own for; its class names play no part."""
SHARED = ("OPTIM.NAME", "OPTIM.LR", "OPTIM.MAX_EPOCH", "OPTIM.WARMUP_EPOCH", "DATALOADER.TRAIN_X.BATCH_SIZE")
HEAD = """# Settings and their sources

Written by `python -m tools.settings_page` from what the engine, the harness and each method's file in `trainers/`
declare and from `configs/trainers/`; change those files, not this page.

The first table lists the settings that every run has. After it, each method has a table of its own settings, with a
column for each protocol and the published file in which the values were read; files are named as in the method's
repository. The values are those of preset `paper` on Caltech101; for cross-dataset, on ImageNet, the source. The number
of shots is the protocol's, unless the method is published with another. **?** marks a value that no published source
states. The reason stands below the table, in the log of each run with this value ("unverified: ..."), in its record,
and in a footnote of the report.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_of_every_run(), *(line for method in methods() for line in _method(method))])


def _of_every_run() -> Iterator[str]:
    """Yield the table of the engine's and the harness's settings, in the order of their names."""
    yield "## Settings of every run\n"
    yield "Declared in `dassl/config/defaults.py` and `trainers/base/harness_settings.py`. The yaml files of datasets"
    yield "and methods change many of these values; `mmrl config METHOD DATASET --all` prints the values of a run.\n"
    yield "| name | default | range | meaning |"
    yield "|---|---|---|---|"
    for row in rows(dict(sorted((ENGINE | HARNESS).items()))):
        yield _row(
            f"`{row['name']}`", {column: row[column].replace("|", "\\|") for column in ("default", "range", "meaning")}
        )
    yield ""


def _method(method: str) -> Iterator[str]:
    sources, runs = sources_of(method), _runs(method)
    settings = {name: _settings(run) for name, run in runs.items()}
    yield f"## {method}\n"
    if sources:
        name = sources["repository"]
        yield f"Read in [{name}](https://github.com/{name}) at `{sources['commit']}`.\n"
    else:
        yield "No published source is named (`sources.yaml`).\n"
    yield from _declared(method)
    yield "In the published protocols:\n"
    yield f"| setting | {' | '.join(PROTOCOLS[name] for name in runs)} |"
    yield f"|---|{'---|' * len(runs)}"
    yield _row("file", {name: f"`{run.cfg}`" for name, run in runs.items()})
    yield _row("read in", {name: _text(sources.get("read", {}).get(run.cfg, "")) for name, run in runs.items()})
    yield _row("shots", {name: ", ".join(map(str, _shots(method, name))) for name in runs})
    open_questions = {
        name: unverified(method, cfg.TASK, cfg.DATASET.NAME, runs[name].cfg) for name, cfg in settings.items()
    }
    for key in _keys(method, settings):
        values = {
            name: f"{_text(_value(cfg, key))}{' **?**' if key in open_questions[name] else ''}"
            for name, cfg in settings.items()
        }
        yield _row(f"`{key}`", values)
    yield ""
    for why in dict.fromkeys(entry["why"] for entry in sources.get("unverified", [])):
        yield f"- **?** {why}"
    for part in ("protocols", "per_dataset", "templates"):
        if part in sources.get("read", {}):
            yield f"- {part}: {sources['read'][part]}"
    yield ""
    yield from _per_dataset(method)


def _declared(method: str) -> Iterator[str]:
    """Yield the table of the settings that the method's file declares."""
    trainer = TRAINER_REGISTRY.get(method)
    table = rows(trainer.declared)
    if not table:
        return
    yield f"Settings of its own, below `TRAINER.{trainer.settings_node}` (`mmrl help {method}`):\n"
    yield "| name | default | range | meaning | source of the default |"
    yield "|---|---|---|---|---|"
    for row in table:
        cells = [row[column].replace("|", "\\|") for column in ("default", "range", "meaning", "source")]
        yield f"| `{row['name']}` | {' | '.join(cells)} |"
    yield ""


def _settings(run: PlannedRun) -> CfgNode:
    _, args = parse_words(run.arguments(Path("output"), "data", ()))
    args.record = None
    return settings_of_run(args).cfg


def _runs(method: str) -> dict[str, PlannedRun]:
    """Return the run that stands for each protocol: the training one, with the most shots."""
    found = {}
    for name in PROTOCOLS:
        if name in protocols_of(method) and "train" in stages_of(name, method):
            dataset = "imagenet" if "source" in load_protocol(name) else TYPICAL
            found[name] = plan(name, "train", method, dataset, [1])[-1]
    return found


def _shots(method: str, protocol: str) -> list[int]:
    return protocols_of(method)[protocol].get("shots", load_protocol(protocol)["shots"])


def _keys(method: str, settings: Mapping[str, CfgNode]) -> list[str]:
    trainer = TRAINER_REGISTRY.get(method)
    first = next(iter(settings.values()))
    learns = [] if not trainer.checkpoint_folder or "Zeroshot" in method else list(SHARED)
    if learns and first.OPTIM.NAME.startswith(("adam", "radam")):
        learns.append("OPTIM.ADAM_EPS")
    own = [f"TRAINER.{trainer.settings_node}.{key}" for key in trainer.defaults] if trainer.settings_node else []
    return ["MODEL.BACKBONE.NAME", *learns, *own]


def _value(cfg: CfgNode, key: str) -> Any:
    return dict(leaves(cfg))[key]


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return str(value).replace("|", "\\|") if value != "" else "-"


def _row(head: str, cells: Mapping[str, str]) -> str:
    return f"| {head} | {' | '.join(cells.values())} |"


def _per_dataset(method: str) -> Iterator[str]:
    file = CONFIGS / "trainers" / method / "per_dataset.yaml"
    if not file.is_file():
        return
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    tasks_of: dict[tuple[str, str], list[str]] = {}
    for task, table in data.items():
        for dataset, values in table.items():
            words = "; ".join(f"{key} {_by_shots(value)}" for key, value in values.items())
            tasks_of.setdefault((dataset, words), []).append(task)
    yield "| dataset | task | values of its own |"
    yield "|---|---|---|"
    for (dataset, words), tasks in tasks_of.items():
        yield f"| {dataset} | {', '.join(tasks)} | {words} |"
    yield ""


def _by_shots(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{given} at {shots} shots" for shots, given in value.items())
    return f"`{value}`" if isinstance(value, str) else _text(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with --check say whether it is up to date."""
    check = make_parser(__doc__).parse_args(arguments).check
    return update({PAGE: page()}, "tools.settings_page", check)


if __name__ == "__main__":
    sys.exit(main())
