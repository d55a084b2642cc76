"""Try trained runs on images in the browser, side by side; without a run, zero-shot CLIP with any class names.

mmrl demo RUN_DIR [RUN_DIR ...] [--classes names.txt] [--port 7860]
mmrl demo [--classes "cat, dog, grand piano"] [--backbone ViT-B/16]

The page can be opened on this machine only. See docs/predict.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runs.command_line import CommandParser, add_backbone, add_device, add_plugins
from safeio.entry import command

if TYPE_CHECKING:
    from inference.demo.trial import Trial

EXAMPLES = "Caltech101Small"
"""The embedded dataset whose images are examples where there is no run."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    example = "mmrl demo output/few_shot/caltech101_64/shots_16/MMRL/photo/seed1"
    parser = CommandParser(prog="mmrl demo", description=__doc__, example=example)
    parser.add_argument(
        "runs", nargs="*", metavar="RUN_DIR", help="folders of training runs (default: none, zero-shot CLIP)"
    )
    parser.add_argument(
        "--classes", metavar="NAMES", help="classes to begin with: a file with one name on each line, or 'cat, dog'"
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="port of the page (default: the first free one from 7860 on)"
    )
    add_device(parser)
    add_backbone(parser, "the one the run was trained with; photo-ViT-8 without a run")
    add_plugins(parser)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    args = make_parser().parse_args(arguments)
    from inference.demo.server import serve

    serve(trial_of(args), args.port)
    return 0


def trial_of(args: argparse.Namespace) -> Trial:
    """Return what the command line asks to try."""
    from inference.classes import named_classes
    from inference.demo.trial import Trial, examples_of
    from inference.labelled_images import test_images
    from inference.predictor import Predictor
    from inference.zero_shot import zero_shot_model

    classes = named_classes(args.classes) if args.classes else None
    if args.runs:
        runs = [Predictor.load(run, classes, args.device, args.backbone, plugins=args.plugins) for run in args.runs]
        return Trial(runs, examples_of(runs[0]))
    model = zero_shot_model(classes or ("cat", "dog"), args.backbone, args.device)
    if classes is None:
        model.classes = list(dict.fromkeys(name for _, name in test_images(model.run, EXAMPLES)))
    return Trial([model], examples_of(model, EXAMPLES))


if __name__ == "__main__":
    raise SystemExit(main())
