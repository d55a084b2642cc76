"""The commands of `mmrl`. Each is a module with `make_parser` and `main`, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple


class Command(NamedTuple):
    """A command: where it is, and what it does in one line."""

    load: Callable[[], ModuleType]
    summary: str


def _train() -> ModuleType:
    from mmrl.commands import train

    return train


def _test() -> ModuleType:
    from mmrl.commands import test

    return test


def _sweep() -> ModuleType:
    import sweep

    return sweep


def _report() -> ModuleType:
    import report

    return report


def _predict() -> ModuleType:
    import predict

    return predict


def _demo() -> ModuleType:
    from inference.commands import demo

    return demo


def _export() -> ModuleType:
    from inference.commands import export

    return export


def _visualize() -> ModuleType:
    from inference.commands import visualize

    return visualize


def _prepare() -> ModuleType:
    from mmrl.commands import data_prepare

    return data_prepare


def _check() -> ModuleType:
    from mmrl.commands import data_check

    return data_check


def _unpack() -> ModuleType:
    from mmrl.commands import data_unpack

    return data_unpack


def _texts() -> ModuleType:
    from mmrl.commands import data_texts

    return data_texts


def _list() -> ModuleType:
    from mmrl.commands import list_names

    return list_names


def _config() -> ModuleType:
    from mmrl.commands import config

    return config


def _doctor() -> ModuleType:
    from mmrl.commands import doctor

    return doctor


def _launch() -> ModuleType:
    from runs import launch

    return launch


def _compare() -> ModuleType:
    from runs import compare

    return compare


COMMANDS = {
    "train": Command(_train, "train a method on a dataset"),
    "test": Command(_test, "test a trained run, on its own or another dataset"),
    "predict": Command(_predict, "classify your own images with a trained run"),
    "sweep": Command(_sweep, "run a protocol for methods, datasets and seeds"),
    "report": Command(_report, "make tables and figures of finished runs"),
    "demo": Command(_demo, "try a trained run on images, in the browser"),
    "visualize": Command(_visualize, "draw a trained run's attention and image features"),
    "export": Command(_export, "write a trained run as ONNX, TorchScript or another file"),
    "data prepare": Command(_prepare, "download benchmark datasets and prepare their folders"),
    "data check": Command(_check, "check that benchmarks, or your own images, are complete"),
    "data unpack": Command(_unpack, "write the package's sample images as files"),
    "data texts": Command(_texts, "check the class descriptions of CoPrompt and HiCroPL"),
    "list": Command(_list, "list methods, datasets, backbones or protocols"),
    "config": Command(_config, "show the settings of a run and where each comes from"),
    "doctor": Command(_doctor, "show versions, devices, caches, weights and data"),
    "launch": Command(_launch, "run one stage of a protocol, as scripts/ does"),
    "compare": Command(_compare, "train methods base-to-novel and print their table"),
}
