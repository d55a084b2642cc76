"""Transforms: against golden numbers, against torchvision, and by their properties."""

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F

from dassl.config import get_cfg_default
from dassl.data.transforms import Cutout, GaussianNoise, InstanceNormalization, Random2DTranslation
from dassl.data.transforms.transforms import AVAI_CHOICES, INTERPOLATION_MODES, build_transform

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


@pytest.fixture
def cfg():
    cfg = get_cfg_default()
    cfg.INPUT.SIZE = (32, 24)
    cfg.INPUT.INTERPOLATION = "bicubic"
    return cfg


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


def test_test_transform_equals_golden_numbers(golden, golden_arrays, cfg):
    cfg.INPUT.SIZE = (golden("preprocess.json")["size"],) * 2
    cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = CLIP_MEAN, CLIP_STD
    cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "normalize")
    transform = build_transform(cfg, is_train=False)
    arrays = golden_arrays("preprocess.npz")
    names = [key.split("/")[0] for key in arrays if key.endswith("/dassl")]
    assert names
    for name in names:
        out = transform(Image.fromarray(arrays[f"{name}/uint8"]))
        off = np.abs(out.numpy() - arrays[f"{name}/dassl"])
        older = int(PIL.__version__.split(".")[0]) < 13  # which scales tall images in another order
        assert off.max() < (0.11 if older else 1e-6) and off.mean() < 5e-3


@pytest.mark.parametrize("choice", AVAI_CHOICES)
def test_each_training_transform_gives_the_configured_size(choice, cfg, image):
    cfg.INPUT.TRANSFORMS = (choice,)
    torch.manual_seed(0)
    out = build_transform(cfg, is_train=True)(image)
    assert out.shape == (3, 32, 24) and out.dtype == torch.float32 and torch.isfinite(out).all()


def test_without_augmentation_training_only_resizes(cfg, image):
    expected = F.to_tensor(F.resize(image, [32, 24], INTERPOLATION_MODES["bicubic"]))
    assert torch.equal(build_transform(cfg)(image), expected)


def test_order_does_not_depend_on_the_config(cfg, image, capsys):
    printed = []
    for choices in (AVAI_CHOICES, AVAI_CHOICES[::-1]):
        capsys.readouterr()
        build_transform(cfg, choices=choices)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    steps = [line.removeprefix("+ ") for line in printed[0].splitlines() if line.startswith("+")]
    middle = steps.index("to tensor in the range [0, 1]")
    assert steps[:2] == ["random_translation", "random_crop"]
    assert steps[middle - 1 :][2:] == ["cutout", "normalize", "gaussian_noise", "instance_norm"]


def test_random_resized_crop_and_flip_equal_torchvision(cfg, image):
    from torchvision import transforms as T

    cfg.INPUT.TRANSFORMS = ("normalize", "random_flip", "random_resized_crop")
    cfg.INPUT.RRCROP_SCALE = (0.5, 1.0)
    reference = T.Compose(
        [
            T.RandomResizedCrop((32, 24), scale=(0.5, 1.0), interpolation=T.InterpolationMode.BICUBIC),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD),
        ]
    )
    ours = build_transform(cfg)
    torch.manual_seed(5)
    expected = [reference(image) for _ in range(4)]
    torch.manual_seed(5)
    assert all(torch.equal(ours(image), view) for view in expected)


def test_no_transform_and_unknown_names(cfg):
    with pytest.raises(ValueError, match="'random_flip'"):
        build_transform(cfg, choices=["random_flp"])
    cfg.INPUT.INTERPOLATION = "cubic"
    with pytest.raises(ValueError, match="'bicubic'"):
        build_transform(cfg)
    cfg.INPUT.NO_TRANSFORM = True
    assert build_transform(cfg) is None


def test_translation_moves_the_window(image):
    torch.manual_seed(0)
    always = Random2DTranslation((16, 16), p=1.0)
    views = {always(image).tobytes() for _ in range(20)}
    assert always(image).size == (16, 16) and len(views) > 3
    assert np.array_equal(Random2DTranslation((16, 20), p=0.0)(image), F.resize(image, [16, 20]))


def test_cutout_sets_squares_to_zero():
    torch.manual_seed(0)
    image = torch.ones(3, 40, 40)
    out = Cutout(n_holes=1, length=10)(image)
    assert image.min() == 1  # the input is left alone
    holes = (out == 0).all(dim=0)
    rows, columns = holes.any(dim=1).sum(), holes.any(dim=0).sum()
    assert 0 < holes.sum() == rows * columns <= 100
    counts = [int((Cutout(3, 10)(image)[0] == 0).sum()) for _ in range(50)]
    assert max(counts) > 100 and max(counts) <= 300


def test_noise_and_instance_normalisation():
    torch.manual_seed(0)
    image = torch.rand(3, 60, 60)
    noise = GaussianNoise(mean=1.0, std=0.15, p=1.0)(image) - image
    assert abs(noise.mean() - 1) < 0.01 and abs(noise.std() - 0.15) < 0.01
    assert torch.equal(GaussianNoise(p=0.0)(image), image)
    flat = InstanceNormalization()(image).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(1), torch.ones(3), atol=1e-4, rtol=0)
