"""Trackers of experiments: Weights & Biases and MLflow as callbacks. TensorBoard's curves are the trainer's own writer.

Each gets the settings, the means of every epoch, the results of every test, the confusion matrix and the final metrics.
Both work without network: Weights & Biases in its offline mode, MLflow into a sqlite file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dassl.engine.callbacks import Callback
from safeio.errors import UserError
from safeio.read_back import read_json
from safeio.trees import leaves

PROJECT = "mmrl"
CONFUSION = "confusion.json"
MOST_PARAMETERS = 100  # that MLflow takes in one call


class MissingTracker(UserError, ModuleNotFoundError):
    """A tracker whose package is not installed; the message says how to install it."""


class Tracker(Callback):
    """Opens its run at the first thing that is reported, so that a run that fails early leaves none.

    Attributes:
        extra: the extra of pyproject.toml, called like the package.
    """

    extra = ""

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        self.run: Any = None
        if find_spec(self.extra) is None:
            raise MissingTracker(f"--track {self.extra} needs its package: pip install -e '.[{self.extra}]'")

    def on_epoch_end(self, trainer: Any, epoch: int, means: Mapping[str, float]) -> None:
        self.log({f"train/{name}": value for name, value in means.items()}, epoch)

    def on_test_end(self, trainer: Any, split: str, results: Mapping[str, float]) -> None:
        self.log({f"{split}/{name}": value for name, value in results.items()}, trainer.epoch + 1)

    def on_run_end(self, trainer: Any, metrics: Mapping[str, float] | None) -> None:
        if self.run is None and metrics is None:
            return
        self.start()
        self.finish(metrics, Path(self.cfg.OUTPUT_DIR) / CONFUSION)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Report numbers of an epoch."""
        self.start()
        self.write({name: float(value) for name, value in values.items()}, step)

    def start(self) -> None:
        """Open the run unless it is open."""
        if self.run is None:
            self.run = self.open(self.title(), dict(leaves(self.cfg)))

    def title(self) -> str:
        """Return the run's name, `MMRL dtd seed 1`."""
        return f"{self.cfg.TRAINER.NAME} {self.cfg.DATASET.NAME} seed {self.cfg.SEED}"

    def open(self, title: str, settings: Mapping[str, Any]) -> Any:
        """Open a run of this name with these settings and return it."""
        raise NotImplementedError

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers."""
        raise NotImplementedError

    def finish(self, metrics: Mapping[str, float] | None, confusion: Path) -> None:
        """Write the final metrics and the confusion matrix, where there are, and close."""
        raise NotImplementedError


class WandbTracker(Tracker):
    """Weights & Biases, below the run's folder; offline unless WANDB_MODE says otherwise or a key is set."""

    extra = "wandb"

    def open(self, title: str, settings: Mapping[str, Any]) -> Any:
        import wandb

        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=title,
            config=dict(settings),
            dir=self.cfg.OUTPUT_DIR,
            mode=mode,  # type: ignore[arg-type]
            settings=wandb.Settings(silent=True, console="off"),
        )
        run.define_metric("*", step_metric="epoch")
        return run

    def write(self, values: Mapping[str, float], step: int) -> None:
        self.run.log({**values, "epoch": step})

    def finish(self, metrics: Mapping[str, float] | None, confusion: Path) -> None:
        import wandb

        self.run.summary.update({f"final/{name}": value for name, value in (metrics or {}).items()})
        if metrics is not None and confusion.is_file():
            content = read_json(confusion)
            names = content["classes"]
            rows = [[names[true], names[predicted], count] for true, predicted, count in content["counts"]]
            self.run.log({"confusion": wandb.Table(columns=["true", "predicted", "count"], data=rows)})
        self.run.finish(exit_code=0 if metrics is not None else 1)


class MLflowTracker(Tracker):
    """MLflow, at MLFLOW_TRACKING_URI, else in the sqlite file `mlflow.db` of the working folder."""

    extra = "mlflow"

    def open(self, title: str, settings: Mapping[str, Any]) -> Any:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').absolute()}")
        found = self.client.get_experiment_by_name(PROJECT)
        experiment = found.experiment_id if found else self.client.create_experiment(PROJECT)
        run = self.client.create_run(experiment, run_name=title, tags={"folder": str(self.cfg.OUTPUT_DIR)})
        parameters = [Param(key, str(value)[:500]) for key, value in settings.items()]
        for first in range(0, len(parameters), MOST_PARAMETERS):
            self.client.log_batch(run.info.run_id, params=parameters[first : first + MOST_PARAMETERS])
        return run

    def write(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.client.log_metric(self.run.info.run_id, name, value, step=step)

    def finish(self, metrics: Mapping[str, float] | None, confusion: Path) -> None:
        self.write({f"final/{name}": float(value) for name, value in (metrics or {}).items()}, 0)
        if metrics is not None and confusion.is_file():
            self.client.log_artifact(self.run.info.run_id, str(confusion))
        self.client.set_terminated(self.run.info.run_id, "FINISHED" if metrics is not None else "FAILED")


TRACKERS: dict[str, type[Tracker]] = {"wandb": WandbTracker, "mlflow": MLflowTracker}
TRACKER_NAMES = ("tensorboard", *TRACKERS)
