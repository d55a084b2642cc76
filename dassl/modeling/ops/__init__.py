"""What training with unlabelled images needs besides a network."""

from dassl.modeling.ops.utils import (
    create_onehot,
    ema_model_update,
    linear_rampup,
    reverse_index,
    sharpen_prob,
    shuffle_index,
    sigmoid_rampup,
)

__all__ = [
    "create_onehot",
    "ema_model_update",
    "linear_rampup",
    "reverse_index",
    "sharpen_prob",
    "shuffle_index",
    "sigmoid_rampup",
]
