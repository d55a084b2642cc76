"""One CLIP for all methods: OpenAI's architectures and parameter names, with seams for learned tokens."""

from safeio import threads  # noqa: F401, I001  (before torch)

from importlib import import_module
from types import ModuleType

from clip.model import CLIP, build_model, convert_weights, from_state_dict
from clip.preprocess import evaluation_transform
from clip.pretrained import available_models, weights_file
from clip.tokenizer import tokenize
from clip.weights import load, state_dict_from

__all__ = [
    "CLIP",
    "available_models",
    "build_model",
    "convert_weights",
    "evaluation_transform",
    "from_state_dict",
    "load",
    "state_dict_from",
    "tokenize",
    "weights_file",
]


def __getattr__(name: str) -> ModuleType:
    """Load the modules that `import clip` alone gives in OpenAI's package, when they are asked for."""
    if name in ("clip", "simple_tokenizer"):
        return import_module(f"clip.{name}")
    raise AttributeError(f"module 'clip' has no attribute {name!r}")
