"""All loaders of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.data import DataLoader
from torchvision import transforms as T
from yacs.config import CfgNode

from dassl.config.yaml_files import ConfigError
from dassl.data.crop_cache import evaluation_wrapper
from dassl.data.datasets.base_dataset import DatasetBase, Datum
from dassl.data.datasets.build import build_dataset
from dassl.data.loader import Loader
from dassl.data.samplers import build_sampler
from dassl.data.transforms.transforms import build_transform
from dassl.data.wrapper import DatasetWrapper, Transform

__all__ = ["DataManager", "DatasetWrapper", "build_data_loader"]


def build_data_loader(
    cfg: CfgNode,
    sampler_type: str = "SequentialSampler",
    data_source: Sequence[Datum] | None = None,
    batch_size: int = 64,
    n_domain: int = 0,
    n_ins: int = 2,
    tfm: Transform | Sequence[Transform] | None = None,
    is_train: bool = True,
    dataset_wrapper: Callable | None = None,
) -> DataLoader:
    """A loader of batches as :class:`DatasetWrapper` describes them.

    The last batch is dropped when it is not full, in training only, and only if there is a full one. Order
    and worker seeds (Python, NumPy and PyTorch, fresh in each epoch) come from torch's global generator,
    which ``SEED`` seeds; PyTorch sees to that itself.

    Raises:
        dassl.config.ConfigError: the sampler does not make a single batch of the data.
    """
    if dataset_wrapper is not None or is_train:
        dataset = (dataset_wrapper or DatasetWrapper)(cfg, data_source, transform=tfm, is_train=is_train)
    else:
        dataset = evaluation_wrapper(cfg, data_source, tfm)
    loader = Loader(
        dataset,
        batch_size=batch_size,
        sampler=build_sampler(
            sampler_type,
            cfg=cfg,
            data_source=data_source,
            batch_size=batch_size,
            n_domain=n_domain,
            n_ins=n_ins,
        ),
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        drop_last=is_train and len(data_source) >= batch_size,
        pin_memory=cfg.USE_CUDA and torch.cuda.is_available(),
    )
    if len(loader) == 0:
        raise ConfigError(f"{sampler_type}: {len(data_source)} images make no batch of {batch_size}; lower BATCH_SIZE")
    return loader


class DataManager:
    """Builds ``cfg.DATASET`` and its loaders.

    Args:
        custom_tfm_train: transform, or list of them, instead of the one that ``cfg.INPUT`` describes.
        custom_tfm_test: the same for validation and test.
        dataset_wrapper: class in place of :class:`DatasetWrapper`.

    Attributes:
        dataset: what the registry built.
        train_loader_x: labelled training batches.
        train_loader_u: unlabelled ones, None if the dataset has none.
        val_loader: None if the dataset has no validation images.
        test_loader: test batches.
    """

    def __init__(
        self,
        cfg: CfgNode,
        custom_tfm_train: Transform | Sequence[Transform] | None = None,
        custom_tfm_test: Transform | Sequence[Transform] | None = None,
        dataset_wrapper: Callable | None = None,
    ):
        self.dataset: DatasetBase = build_dataset(cfg)
        if hasattr(self.dataset, "verify"):  # a plugin's dataset may have another base
            self.dataset.verify()
        tfm_train = _transform_or_custom(cfg, custom_tfm_train, is_train=True)
        tfm_test = _transform_or_custom(cfg, custom_tfm_test, is_train=False)
        if change := getattr(self.dataset, "test_change", None):
            tfm_test = T.Compose([change, *tfm_test.transforms])

        def loader(data: Sequence[Datum] | None, settings: CfgNode, is_train: bool) -> DataLoader | None:
            if not data:
                return None
            return build_data_loader(
                cfg,
                sampler_type=settings.SAMPLER,
                data_source=data,
                batch_size=settings.BATCH_SIZE,
                n_domain=settings.get("N_DOMAIN", 0),
                n_ins=settings.get("N_INS", 1),
                tfm=tfm_train if is_train else tfm_test,
                is_train=is_train,
                dataset_wrapper=dataset_wrapper,
            )

        settings_x = settings_u = cfg.DATALOADER.TRAIN_X
        if self.dataset.train_u and not cfg.DATALOADER.TRAIN_U.SAME_AS_X:
            settings_u = cfg.DATALOADER.TRAIN_U
        self.train_loader_x = loader(self.dataset.train_x, settings_x, is_train=True)
        self.train_loader_u = loader(self.dataset.train_u, settings_u, is_train=True)
        self.val_loader = loader(self.dataset.val, cfg.DATALOADER.TEST, is_train=False)
        self.test_loader = loader(self.dataset.test, cfg.DATALOADER.TEST, is_train=False)
        self._num_source_domains = len(cfg.DATASET.SOURCE_DOMAINS)
        if cfg.VERBOSE:
            self.show_dataset_summary(cfg)

    @property
    def num_classes(self) -> int:
        return self.dataset.num_classes

    @property
    def num_source_domains(self) -> int:
        return self._num_source_domains

    @property
    def lab2cname(self) -> dict[int, str]:
        """Label -> class name."""
        return self.dataset.lab2cname

    def show_dataset_summary(self, cfg: CfgNode) -> None:
        """Print name and sizes as a table."""
        rows = [("Dataset", cfg.DATASET.get("OWN_NAME", "") or cfg.DATASET.NAME)]
        if cfg.DATASET.SOURCE_DOMAINS:
            rows.append(("Source", ", ".join(cfg.DATASET.SOURCE_DOMAINS)))
        if cfg.DATASET.TARGET_DOMAINS:
            rows.append(("Target", ", ".join(cfg.DATASET.TARGET_DOMAINS)))
        rows.append(("# classes", f"{self.num_classes:,}"))
        for name in ("train_x", "train_u", "val", "test"):
            if data := getattr(self.dataset, name):
                rows.append((f"# {name}", f"{len(data):,}"))
        left, right = (max(len(row[column]) for row in rows) for column in (0, 1))
        rule = f"{'-' * left}  {'-' * right}"
        print("\n".join([rule, *(f"{name:<{left}}  {value}" for name, value in rows), rule]))


def _transform_or_custom(
    cfg: CfgNode, custom: Transform | Sequence[Transform] | None, is_train: bool
) -> Transform | Sequence[Transform] | None:
    if custom is None:
        return build_transform(cfg, is_train=is_train)
    print(f"Custom transform for {'training' if is_train else 'testing'}")
    return custom
