"""The table of evaluators."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from dassl.utils.names import check_availability
from dassl.utils.registry import Registry

EVALUATOR_REGISTRY = Registry("EVALUATOR")


def build_evaluator(cfg: CfgNode, **kwargs: Any) -> Any:
    """The evaluator ``cfg.TEST.EVALUATOR``; ``kwargs`` go to its constructor.

    Raises:
        ValueError: nothing is registered under that name.
    """
    check_availability(cfg.TEST.EVALUATOR, EVALUATOR_REGISTRY.registered_names(), kind="evaluator")
    if cfg.VERBOSE:
        print(f"Loading evaluator: {cfg.TEST.EVALUATOR}")
    return EVALUATOR_REGISTRY.get(cfg.TEST.EVALUATOR)(cfg, **kwargs)
