"""A predictor as one program in a file: ONNX, `torch.export`, or TorchScript."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from inference.output import doubts
from inference.predictor import Predictor
from safeio.atomic import atomic_write
from safeio.errors import UserError

INPUT, OUTPUT = "images", "logits"
"""Names of the tensors of an exported program: (B, 3, S, S), normalised images, to (B, C)."""

ABOUT = "about.json"

TOLERANCE = 1e-4
"""Largest allowed difference between the logits of a file and the run's."""


class ExportError(UserError, ValueError):
    """Error for a run that cannot be exported; the message says what can be done instead."""


class AdaptedEncoder(nn.Module):
    """Module from normalised images (B, 3, S, S) to logits (B, C): the adapted image encoder and the class matrix."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.method = predictor.method.settled()
        self.encoder = self.method.clip.visual
        self.register_buffer("class_features", predictor.class_features)
        self.register_buffer("columns", predictor.columns.to(predictor.own_seen.device))
        self.seen = predictor.own_seen.tolist()

    def forward(self, images: Tensor) -> Tensor:
        seen = torch.tensor(self.seen, device=images.device)  # made here, it is a constant that methods may branch on
        return self.method.logits(images, self.class_features, seen).float()[:, self.columns]


def encoder(predictor: Predictor) -> AdaptedEncoder:
    """Return the module that is exported.

    Raises:
        ExportError: the method's text depends on the image, or the computation is not in float32.
    """
    if predictor.method.conditional:
        raise ExportError(
            f"{predictor.run.record['method']} cannot be exported as a program: its class prompts differ for "
            "each image, so there is no class matrix to put into the file. Use --format safetensors"
        )
    if predictor.precision.name != "fp32":
        raise ExportError(f"A program is exported in float32, not in {predictor.precision.name}")
    made = AdaptedEncoder(predictor).eval()
    with torch.no_grad():
        made(*example(predictor))  # what is computed once, such as merged weights, is no part of the program
    return made


def example(predictor: Predictor) -> tuple[Tensor]:
    """Arguments to record the computation with: two empty images."""
    side = predictor.clip.visual.input_resolution
    return (torch.zeros(2, 3, side, side, device=predictor.clip.device),)


def program(predictor: Predictor) -> ExportedProgram:
    """The computation as a graph, for any number of images; errors as of `encoder`."""
    batch = {0: Dim("batch", min=1)}
    with torch.no_grad():
        return torch.export.export(encoder(predictor), example(predictor), dynamic_shapes=(batch,), strict=False)


def about(predictor: Predictor) -> dict[str, str]:
    """Return the facts that a user of the file needs, as JSON: names in the order of the logits, preprocessing."""
    settings = predictor.run.cfg.INPUT
    metadata = {
        "method": predictor.run.record["method"],
        "classes": list(predictor.classes),
        "rules": list(predictor.rules),
        "notices": doubts(predictor.run),
        "image": "RGB in 0..1, shorter edge resized to size, centre cut out, (x - mean) / std by channel",
        "size": list(settings.SIZE),
        "interpolation": settings.INTERPOLATION,
        "mean": list(settings.PIXEL_MEAN),
        "std": list(settings.PIXEL_STD),
    }
    return {key: json.dumps(value) for key, value in metadata.items()}


def as_torch(predictor: Predictor) -> bytes:
    """A program for `torch.export.load(path).module()`; `about` is in its extra file about.json."""
    content = io.BytesIO()
    torch.export.save(program(predictor), content, extra_files={ABOUT: json.dumps(about(predictor))})
    return content.getvalue()


def as_torchscript(predictor: Predictor) -> bytes:
    """A program for `torch.jit.load`, in C++ too; `about` is in its extra file about.json."""
    content = io.BytesIO()
    with torch.no_grad(), old_format():
        # `check_program` looks closer than the tracer's own check.
        traced = torch.jit.trace(encoder(predictor), example(predictor), check_trace=False)
        torch.jit.save(traced, content, _extra_files={ABOUT: json.dumps(about(predictor))})
    return content.getvalue()


@contextlib.contextmanager
def old_format() -> Iterator[None]:
    """Without PyTorch's advice to leave TorchScript, and the tracer's doubts about sizes, which do not vary here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=r"`torch\.jit")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        yield


def as_onnx(predictor: Predictor) -> bytes:
    """A program for onnxruntime and others, with `about` as its metadata."""
    graph = program(predictor)
    with contextlib.redirect_stdout(io.StringIO()):  # the exporter tells its steps
        made = torch.onnx.export(graph, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False)
    made.model.metadata_props.update(about(predictor))
    return made.model_proto.SerializeToString()


FORMATS = {".onnx": as_onnx, ".pt2": as_torch, ".pt": as_torchscript}


def load_program(content: bytes, suffix: str) -> Callable[[Tensor], Tensor]:
    """Return the content of an exported file as a function from images (B, 3, S, S) to logits (B, C)."""
    if suffix == ".pt2":
        return torch.export.load(io.BytesIO(content)).module()
    if suffix == ".pt":
        with old_format():
            return torch.jit.load(io.BytesIO(content))
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def check_program(predictor: Predictor, compute: Callable[[Tensor], Tensor]) -> str:
    """Compute a program and the predictor on the same images of noise, three and one.

    Returns:
        A sentence with the largest difference.

    Raises:
        ExportError: it is more than TOLERANCE, relative to the largest logit where that is above one.
    """
    side = predictor.clip.visual.input_resolution
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = predictor.scores(images)
    found = [(compute(images), expected), (compute(images[:1]), expected[:1])]
    difference = max((given - wanted).abs().max().item() for given, wanted in found)
    if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):
        raise ExportError(f"The exported program is wrong: its logits differ by {difference:.2g} from the run's")
    return f"Its logits differ from the run's by {difference:.1e} at most, the largest being {expected.abs().max():.1f}"


def write_program(predictor: Predictor, path: Path) -> str:
    """Export a program in the format of the file's suffix; write it only if its logits equal the run's.

    Returns:
        The sentence of `check_program`.

    Raises:
        ExportError: as `encoder` and `check_program`.
    """
    content = FORMATS[path.suffix](predictor)
    sentence = check_program(predictor, load_program(content, path.suffix))
    with atomic_write(path) as file:
        file.write(content)
    return sentence
