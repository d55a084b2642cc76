"""Operations for training with unlabelled images and with several domains."""

from dassl.modeling.ops.mixstyle import (
    MixStyle,
    activate_mixstyle,
    crossdomain_mixstyle,
    deactivate_mixstyle,
    random_mixstyle,
    run_with_mixstyle,
    run_without_mixstyle,
)
from dassl.modeling.ops.mixup import mixup
from dassl.modeling.ops.reverse_grad import ReverseGrad
from dassl.modeling.ops.utils import (
    create_onehot,
    ema_model_update,
    linear_rampup,
    reverse_index,
    sharpen_prob,
    shuffle_index,
    sigmoid_rampup,
)
from dassl.utils.absent import absent

__all__ = [
    "MixStyle",
    "ReverseGrad",
    "activate_mixstyle",
    "create_onehot",
    "crossdomain_mixstyle",
    "deactivate_mixstyle",
    "ema_model_update",
    "linear_rampup",
    "mixup",
    "random_mixstyle",
    "reverse_index",
    "run_with_mixstyle",
    "run_without_mixstyle",
    "sharpen_prob",
    "shuffle_index",
    "sigmoid_rampup",
]
__getattr__ = absent(
    __name__,
    (
        *("Attention", "Conv2dDynamic", "DSBN1d", "DSBN2d", "EFDMix", "MaximumMeanDiscrepancy", "Sequential2"),
        *("SinkhornDivergence", "MinibatchEnergyDistance", "TransNorm1d", "TransNorm2d", "cross_entropy"),
        *("activate_efdmix", "deactivate_efdmix", "random_efdmix", "run_with_efdmix", "run_without_efdmix"),
    ),
    "Copy the operation into the method's file.",
)
