"""Transforms of images, by the names in ``INPUT.TRANSFORMS``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torchvision import transforms as T
from torchvision.transforms import InterpolationMode
from yacs.config import CfgNode

from dassl.data.transforms.augment import Cutout, GaussianNoise, InstanceNormalization, Random2DTranslation
from dassl.utils.names import check_availability

INTERPOLATION_MODES = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "nearest": InterpolationMode.NEAREST,
}

# Both tables are in the order of application, whatever the order in the config. An entry makes its transform
# from cfg.INPUT and the interpolation mode.
ON_IMAGE: dict[str, Callable] = {
    "random_translation": lambda i, mode: Random2DTranslation(i.SIZE, interpolation=mode),
    "random_crop": lambda i, mode: T.RandomCrop(i.SIZE, padding=i.CROP_PADDING),
    "random_resized_crop": lambda i, mode: T.RandomResizedCrop(i.SIZE, i.RRCROP_SCALE, interpolation=mode),
    "random_flip": lambda i, mode: T.RandomHorizontalFlip(),
    "imagenet_policy": lambda i, mode: T.AutoAugment(T.AutoAugmentPolicy.IMAGENET),
    "cifar10_policy": lambda i, mode: T.AutoAugment(T.AutoAugmentPolicy.CIFAR10),
    "svhn_policy": lambda i, mode: T.AutoAugment(T.AutoAugmentPolicy.SVHN),
    "randaugment": lambda i, mode: T.RandAugment(i.RANDAUGMENT_N, i.RANDAUGMENT_M),
    "colorjitter": lambda i, mode: T.ColorJitter(i.COLORJITTER_B, i.COLORJITTER_C, i.COLORJITTER_S, i.COLORJITTER_H),
    "randomgrayscale": lambda i, mode: T.RandomGrayscale(p=i.RGS_P),
    "gaussian_blur": lambda i, mode: T.RandomApply([T.GaussianBlur(i.GB_K)], p=i.GB_P),
}
ON_TENSOR: dict[str, Callable] = {
    "cutout": lambda i, mode: Cutout(i.CUTOUT_N, i.CUTOUT_LEN),
    "normalize": lambda i, mode: T.Normalize(mean=i.PIXEL_MEAN, std=i.PIXEL_STD),
    "gaussian_noise": lambda i, mode: GaussianNoise(i.GN_MEAN, i.GN_STD),
    "instance_norm": lambda i, mode: InstanceNormalization(),
}
AVAI_CHOICES = [*ON_IMAGE, *ON_TENSOR]
AT_TEST = ("normalize", "instance_norm")  # the rest is augmentation


def build_transform(cfg: CfgNode, is_train: bool = True, choices: Sequence[str] | None = None) -> T.Compose | None:
    """The function from a PIL image to a tensor (3, H, W) that ``cfg.INPUT`` describes.

    Args:
        is_train: with augmentation. Otherwise the shorter edge becomes max(SIZE), and the centre is cut out.
        choices: names instead of ``cfg.INPUT.TRANSFORMS``.

    Returns:
        None if ``cfg.INPUT.NO_TRANSFORM``.

    Raises:
        ValueError: unknown name of a transform or an interpolation.
    """
    if cfg.INPUT.NO_TRANSFORM:
        print("NO_TRANSFORM: images stay as they are")
        return None
    choices = cfg.INPUT.TRANSFORMS if choices is None else choices
    for choice in choices:
        check_availability(choice, AVAI_CHOICES, kind="transform")
    check_availability(cfg.INPUT.INTERPOLATION, INTERPOLATION_MODES, kind="interpolation")
    steps = dict(_train_steps(cfg, choices) if is_train else _test_steps(cfg, choices))
    print(f"Transform for {'training' if is_train else 'testing'}:")
    for name in steps:
        print(f"+ {name}")
    return T.Compose(list(steps.values()))


def _train_steps(cfg: CfgNode, choices: Sequence[str]) -> Iterator[tuple[str, Callable]]:
    size, mode = cfg.INPUT.SIZE, INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]
    if not {"random_crop", "random_resized_crop"} & set(choices):
        yield f"resize to {_by(size)}", T.Resize(size, interpolation=mode)
    yield from _chosen(ON_IMAGE, choices, cfg)
    yield "to tensor in the range [0, 1]", T.ToTensor()
    yield from _chosen(ON_TENSOR, choices, cfg)


def _test_steps(cfg: CfgNode, choices: Sequence[str]) -> Iterator[tuple[str, Callable]]:
    size, mode = cfg.INPUT.SIZE, INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]
    yield f"resize the shorter edge to {max(size)}", T.Resize(max(size), interpolation=mode)
    yield f"centre crop of {_by(size)}", T.CenterCrop(size)
    yield "to tensor in the range [0, 1]", T.ToTensor()
    yield from _chosen(ON_TENSOR, [choice for choice in choices if choice in AT_TEST], cfg)


def _chosen(table: dict[str, Callable], choices: Sequence[str], cfg: CfgNode) -> Iterator[tuple[str, Callable]]:
    mode = INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]
    return ((name, make(cfg.INPUT, mode)) for name, make in table.items() if name in choices)


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
