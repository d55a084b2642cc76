"""Write into the head of every method's config file the commands that use it and the published results to expect.

python -m tools.config_headers [--check]

A file that no protocol uses by itself is named by --cfg. Results are those of reports/published/.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.pages import make_parser, update

if __name__ == "__main__":  # --help and a wrong option are answered before all methods are loaded
    make_parser(__doc__).parse_args()

from dassl.config.yaml_files import read_layers
from reports.reference_results import reference
from runs.protocol import CONFIGS, NO_CONFIGS, load_protocol, methods, plan, protocols_of, read, stages_of

RUN, PUBLISHED = "# Run: ", "# Published: "
PROTOCOLS = ("base2new", "few_shot", "cross_dataset")
METRICS = {
    "base2new": {"base": "base", "novel": "new", "H": "H"},
    "few_shot": {"acc": "accuracy"},
    "cross_dataset": {"acc": "accuracy"},
}
USUAL_SHOTS = 16
"""Default of --shots in `mmrl train`."""
TYPICAL = "caltech101"


class Use(NamedTuple):
    """A protocol's use of a config file: with how many shots at most, and for which datasets then."""

    protocol: str
    shots: int
    datasets: list[str]
    backbone: str


def uses(method: str) -> dict[str, list[Use]]:
    """Return the uses of each config file of a method, by the file's name."""
    found: dict[str, list[Use]] = defaultdict(list)
    for protocol in PROTOCOLS:
        if protocol not in protocols_of(method):
            continue
        stage = stages_of(protocol, method)[0]
        data = load_protocol(protocol)
        names = [data["source"]["default"]] if "source" in data and stage == "train" else data["datasets"]
        datasets: dict[tuple[str, int], list[str]] = defaultdict(list)
        for dataset in sorted(names, key=lambda name: (name != TYPICAL, name)):
            for run in plan(protocol, stage, method, dataset, [1]):
                datasets[run.cfg, run.options["DATASET.NUM_SHOTS"]].append(dataset)
        for cfg in dict.fromkeys(cfg for cfg, _ in datasets):
            shots = max(shots for other, shots in datasets if other == cfg)
            found[cfg].append(Use(protocol, shots, datasets[cfg, shots], _backbone(method, cfg)))
    return found


def header(method: str, cfg: str, found: Sequence[Use]) -> Iterator[str]:
    """Yield the lines of one file."""
    embedded = read(CONFIGS / "embedded.yaml")
    if cfg == embedded["cfg"]:
        yield f"{RUN}{_command(method, 'few_shot', next(iter(embedded['datasets'])))} --cfg {cfg}"
        yield f"{PUBLISHED}nothing, it is a demonstration."
    elif not found:
        yield f"{RUN}{_command(method, 'few_shot', TYPICAL)} --cfg {cfg}"
        yield f"{PUBLISHED}no result in reports/published/; no protocol takes this file by itself."
    for use in found:
        more = f" --shots {use.shots}" if use.shots != USUAL_SHOTS else ""
        others = f"   ({len(use.datasets)} datasets)" if len(use.datasets) > 1 else ""
        yield f"{RUN}{_command(method, use.protocol, use.datasets[0])}{more}{others}"
        yield f"{PUBLISHED}{_published(method, use)}"


def _backbone(method: str, cfg: str) -> str:
    """Return the backbone that a config file or one of its bases names."""
    layers = [tree for _, tree in read_layers(CONFIGS / "trainers" / method / f"{cfg}.yaml")]
    names = [tree.get("MODEL", {}).get("BACKBONE", {}).get("NAME") for tree in layers]
    return [name for name in names if name][-1]


def _command(method: str, protocol: str, dataset: str) -> str:
    """Return the command of a run; methods without a training stage have only their test."""
    stage = stages_of(protocol, method)[0]
    if stage != "train":
        return f"mmrl launch {protocol} {stage} {method} {dataset} 1"
    return f"mmrl train {method} {dataset} --protocol {protocol}"


def _published(method: str, use: Use) -> str:
    """Return the results of a use and their source: of its one dataset, or the mean over the paper's datasets."""
    source = "source" in load_protocol(use.protocol)
    dataset = "Average" if source or len(use.datasets) > 1 else use.datasets[0]
    metrics = METRICS[use.protocol]
    results = {
        word: reference(use.protocol, method, dataset, name, use.shots, use.backbone).published
        for name, word in metrics.items()
    }
    numbers = [f"{word} {found.value:.2f}" for word, found in results.items() if found]
    if not numbers:
        return "no result in reports/published/."
    first = next(found for found in results.values() if found)
    kind = "mean over the targets" if source else "mean over the datasets" if dataset == "Average" else f"on {dataset}"
    return f"{', '.join(numbers)}, {kind} ({first.source.split(';')[0].split(' (')[0]})."


def with_header(text: str, lines: Sequence[str]) -> str:
    """Return a file's text with these lines after its own first comment, in the place of earlier ones."""
    rest = [line for line in text.splitlines() if not line.startswith((RUN, PUBLISHED))]
    end = next((number for number, line in enumerate(rest) if not line.startswith("#")), len(rest))
    return "\n".join([*rest[:end], *lines, *rest[end:]]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the headers, or with --check name the files whose header is not up to date."""
    check, texts = make_parser(__doc__).parse_args(arguments).check, {}
    for method in methods():
        found = uses(method)
        for file in sorted((CONFIGS / "trainers" / method).glob("*.yaml")):
            if file.stem not in NO_CONFIGS:
                lines = list(header(method, file.stem, found.get(file.stem, [])))
                texts[file] = with_header(file.read_text(encoding="utf-8"), lines)
    return update(texts, "tools.config_headers", check)


if __name__ == "__main__":
    sys.exit(main())
