"""Trackers of experiments: Weights & Biases and MLflow as callbacks. TensorBoard's curves are the trainer's own writer.

Each gets the settings, the means of every epoch, the results of every test, the confusion matrix and the final metrics.
Both work without network: Weights & Biases in its offline mode, MLflow into a sqlite file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dassl.data.class_names import decodable
from dassl.engine.callbacks import Callback
from safeio.errors import UserError
from safeio.escape import for_line
from safeio.read_back import read_json, reason_of
from safeio.trees import leaves

PROJECT = "mmrl"
CONFUSION = "confusion.json"
MOST_PARAMETERS = 100  # that MLflow takes in one call


class MissingTracker(UserError, ModuleNotFoundError):
    """A tracker whose package is not installed; the message says how to install it."""


class TrackerError(UserError, RuntimeError):
    """A tracker refused something; the message says which tracker and why."""


class Tracker(Callback):
    """Tracker that opens its run at the first report, so that a run that fails early leaves none.

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
        with self.naming():
            self.finish(metrics, Path(self.cfg.OUTPUT_DIR) / CONFUSION)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Report numbers of an epoch."""
        self.start()
        with self.naming():
            self.write({name: float(value) for name, value in values.items()}, step)

    def start(self) -> None:
        """Open the run unless it is open."""
        if self.run is None:
            settings = {key: for_line(value) if isinstance(value, str) else value for key, value in leaves(self.cfg)}
            with self.naming():
                self.run = self.open(for_line(self.title()), settings)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Turn whatever the tracker's package raises in this block into one error."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise TrackerError(
                f"{self.extra} refuses this run: {reason_of(error)}. Leave {self.extra} out of TRAIN.TRACK to "
                "continue without it."
            ) from error

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

        if not decodable(str(self.cfg.OUTPUT_DIR)):  # its own log would raise, line by line
            raise TrackerError(f"wandb cannot use a folder of this name: {self.cfg.OUTPUT_DIR!r}. Choose another one.")
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
            names = [for_line(name) for name in content["classes"]]
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
        run = self.client.create_run(experiment, run_name=title, tags={"folder": for_line(str(self.cfg.OUTPUT_DIR))})
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
