"""An image in a list, and the lists that make up a benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dassl.data.few_shot import group_by, sample_few_shot
from dassl.utils.download import download_url
from dassl.utils.names import check_availability
from safeio.archives import unpack
from safeio.errors import MissingFile
from safeio.images import UnreadableImage
from safeio.packed_images import is_packed


class Datum:
    """One image: path, label, domain, class name. Read-only.

    The attribute names with an underscore, and this module's name, are part of a file format: the published
    code keeps few-shot samples as pickles of this class.

    Raises:
        FileNotFoundError: there is no file ``impath``.
    """

    def __init__(self, impath: str | os.PathLike = "", label: int = 0, domain: int = 0, classname: str = ""):
        impath = os.fspath(impath)
        if not os.path.isfile(impath):
            raise MissingFile(
                f"There is no image {impath!r} (class {classname!r}, label {label}). "
                f"Is DATASET.ROOT (--root) right, and is the data complete?"
            )
        self._impath = impath
        self._label = label
        self._domain = domain
        self._classname = classname

    @classmethod
    def listed(cls, impath: str | os.PathLike, label: int, domain: int, classname: str) -> Datum:
        """An image that a listing of its folder has named: not looked for again, which matters for a million."""
        item = cls.__new__(cls)
        item._impath, item._label, item._domain, item._classname = os.fspath(impath), label, domain, classname
        return item

    @property
    def impath(self) -> str:
        return self._impath

    @property
    def label(self) -> int:
        return self._label

    @property
    def domain(self) -> int:
        return self._domain

    @property
    def classname(self) -> str:
        return self._classname

    def __repr__(self) -> str:
        return f"Datum({self._impath!r}, {self._label}, {self._domain}, {self._classname!r})"


class DatasetBase:
    """The lists of a benchmark.

    Args:
        train_x: labelled training images. The classes are those that occur here.
        train_u: unlabelled training images.
        val: validation images.
        test: test images.

    Raises:
        ValueError: no training images, or a class without any; the message names it.
    """

    dataset_dir = ""  # folder below DATASET.ROOT
    domains: Sequence[str] = ()  # names of all domains, where there are several
    domain_classnames: Sequence[str] = ()  # of all classes that unlabelled images may show, where there are such images
    test_change: Callable[[Any], Any] | None = None  # image -> image, makes test images another domain

    def __init__(
        self,
        train_x: list[Datum] | None = None,
        train_u: list[Datum] | None = None,
        val: list[Datum] | None = None,
        test: list[Datum] | None = None,
    ):
        self._train_x = train_x
        self._train_u = train_u
        self._val = val
        self._test = test
        self._check_classes()
        self._num_classes = self.get_num_classes(train_x)
        self._lab2cname, self._classnames = self.get_lab2cname(train_x)

    def verify(self) -> None:
        """Look at the images before anything is computed; here for empty files, a dataset may look closer.

        Raises:
            UserError: images that cannot be read; the message counts them and names the first.
        """
        items = {
            item.impath: item for part in (self._train_x, self._train_u, self._val, self._test) for item in part or ()
        }
        empty = [path for path in items if not is_packed(path) and os.path.isfile(path) and not os.path.getsize(path)]
        if empty:
            shown = ", ".join(empty[:5]) + (f" and {len(empty) - 5:,} more" if len(empty) > 5 else "")
            raise UnreadableImage(f"{len(empty):,} of {len(items):,} images are empty files (0 bytes): {shown}")

    @property
    def train_x(self) -> list[Datum]:
        return self._train_x

    @property
    def train_u(self) -> list[Datum] | None:
        return self._train_u

    @property
    def val(self) -> list[Datum] | None:
        return self._val

    @property
    def test(self) -> list[Datum] | None:
        return self._test

    @property
    def lab2cname(self) -> dict[int, str]:
        """Label -> class name."""
        return self._lab2cname

    @property
    def classnames(self) -> list[str]:
        """Class names in the order of their labels."""
        return self._classnames

    @property
    def num_classes(self) -> int:
        return self._num_classes

    @staticmethod
    def get_num_classes(data_source: Sequence[Datum]) -> int:
        """Highest label + 1."""
        return max(item.label for item in data_source) + 1

    @staticmethod
    def get_lab2cname(data_source: Sequence[Datum]) -> tuple[dict[int, str], list[str]]:
        """Label -> class name (the first one met), and the names in the order of their labels."""
        groups = group_by(data_source, lambda item: item.label)
        names = {label: groups[label][0].classname for label in sorted(groups)}
        return names, list(names.values())

    def check_input_domains(self, source_domains: Sequence[str], target_domains: Sequence[str]) -> None:
        """Raise ValueError unless every named domain exists."""
        for domain in (*source_domains, *target_domains):
            check_availability(domain, self.domains, kind="domain")

    def generate_fewshot_dataset(
        self, *data_sources: list[Datum], num_shots: int = -1, repeat: bool = False
    ) -> list[Datum] | list[list[Datum]]:
        """``num_shots`` images of each class, from each list in turn, by the process-wide generator.

        Returns:
            One list for one source, else a list of lists; the sources themselves when ``num_shots`` is below
            1.
        """
        if num_shots < 1:
            return data_sources[0] if len(data_sources) == 1 else list(data_sources)
        samples = []
        for source in data_sources:
            print(f"Creating a {num_shots}-shot dataset")
            samples.append(sample_few_shot(source, num_shots, repeat=repeat))
        return samples[0] if len(samples) == 1 else samples

    def split_dataset_by_label(self, data_source: Sequence[Datum]) -> dict[int, list[Datum]]:
        """Images by label."""
        return group_by(data_source, lambda item: item.label)

    def split_dataset_by_domain(self, data_source: Sequence[Datum]) -> dict[int, list[Datum]]:
        """Images by domain."""
        return group_by(data_source, lambda item: item.domain)

    def download_data(self, url: str, dst: str | os.PathLike, from_gdrive: bool = True) -> None:
        """Fetch an archive to the file ``dst`` and unpack it into the same folder."""
        archive = Path(dst).absolute()
        archive.parent.mkdir(parents=True, exist_ok=True)
        download_url(url, archive, from_gdrive=from_gdrive)
        unpack(archive, archive.parent)

    def _check_classes(self) -> None:
        """A class without training images would shift the names of all classes after it."""
        if not self._train_x:
            raise ValueError(f"{type(self).__name__} has no training images (train_x is empty)")
        trained = {item.label for item in self._train_x}
        wanted = {item.label: item.classname for item in (*(self._val or ()), *(self._test or ()))}
        empty = sorted((set(range(max(trained))) | set(wanted)) - trained)
        if empty:
            named = [f"{label} ({wanted[label]})" if label in wanted else str(label) for label in empty]
            raise ValueError(
                f"{type(self).__name__} has classes without a training image: label {', '.join(named)}. "
                f"Every class needs one: is the data below DATASET.ROOT complete?"
            )
