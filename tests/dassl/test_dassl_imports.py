"""Every name that plugins import is where they expect it."""

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "dassl.engine": "TRAINER_REGISTRY build_trainer TrainerBase SimpleTrainer SimpleNet TrainerX TrainerXU",
    "dassl.engine.trainer": "TrainerBase SimpleTrainer SimpleNet TrainerX TrainerXU DataManager "
    "AverageMeter MetricMeter "
    "build_optimizer build_lr_scheduler build_evaluator build_backbone build_head load_checkpoint save_checkpoint "
    "resume_from_checkpoint load_pretrained_weights count_num_param mkdir_if_missing tolist_if_not",
    "dassl.config": "get_cfg_default clean_cfg",
    "dassl.data": "DataManager DatasetWrapper",
    "dassl.data.data_manager": "DataManager DatasetWrapper build_data_loader",
    "dassl.data.datasets": "DATASET_REGISTRY build_dataset Datum DatasetBase Office31 OfficeHome VisDA17",
    "dassl.data.datasets.build": "DATASET_REGISTRY build_dataset",
    "dassl.data.datasets.base_dataset": "Datum DatasetBase",
    "dassl.data.transforms": "build_transform INTERPOLATION_MODES",
    "dassl.data.transforms.transforms": "build_transform INTERPOLATION_MODES",
    "dassl.data.samplers": "build_sampler",
    "dassl.metrics": "compute_accuracy cosine_distance euclidean_squared_distance compute_distance_matrix",
    "dassl.metrics.accuracy": "compute_accuracy",
    "dassl.metrics.distance": "compute_distance_matrix",
    "dassl.optim": "build_optimizer build_lr_scheduler",
    "dassl.optim.optimizer": "build_optimizer AVAI_OPTIMS",
    "dassl.optim.lr_scheduler": "build_lr_scheduler AVAI_SCHEDS ConstantWarmupScheduler LinearWarmupScheduler",
    "dassl.optim.radam": "RAdam PlainRAdam AdamW",
    "dassl.evaluation": "EVALUATOR_REGISTRY EvaluatorBase Classification build_evaluator",
    "dassl.evaluation.build": "EVALUATOR_REGISTRY build_evaluator",
    "dassl.evaluation.evaluator": "EvaluatorBase Classification",
    "dassl.modeling": "BACKBONE_REGISTRY HEAD_REGISTRY NETWORK_REGISTRY build_backbone build_head build_network",
    "dassl.modeling.backbone": "BACKBONE_REGISTRY build_backbone Backbone",
    "dassl.modeling.backbone.build": "BACKBONE_REGISTRY build_backbone",
    "dassl.modeling.backbone.backbone": "Backbone",
    "dassl.modeling.ops": "ReverseGrad mixup MixStyle activate_mixstyle deactivate_mixstyle random_mixstyle "
    "crossdomain_mixstyle run_with_mixstyle run_without_mixstyle create_onehot sharpen_prob ema_model_update",
    "dassl.modeling.ops.mixup": "mixup",
    "dassl.modeling.ops.mixstyle": "MixStyle run_with_mixstyle run_without_mixstyle",
    "dassl.modeling.ops.reverse_grad": "ReverseGrad",
    "dassl.modeling.ops.utils": "create_onehot sharpen_prob ema_model_update sigmoid_rampup linear_rampup",
    "dassl.modeling.head": "HEAD_REGISTRY build_head",
    "dassl.modeling.head.build": "HEAD_REGISTRY build_head",
    "dassl.modeling.network": "NETWORK_REGISTRY build_network",
    "dassl.modeling.network.build": "NETWORK_REGISTRY build_network",
    "dassl.utils": "Registry setup_logger set_random_seed collect_env_info mkdir_if_missing check_isfile "
    "read_json write_json read_image listdir_nohidden download_url tolist_if_not "
    "get_most_similar_str_to_a_from_b check_availability AverageMeter MetricMeter save_checkpoint "
    "load_checkpoint resume_from_checkpoint load_pretrained_weights open_all_layers open_specified_layers "
    "count_num_param init_network_weights",
    "dassl.utils.tools": "mkdir_if_missing read_json set_random_seed read_image check_availability",
    "dassl.utils.torchtools": "save_checkpoint load_checkpoint load_pretrained_weights count_num_param",
    "dassl.utils.logger": "setup_logger Logger",
    "dassl.utils.meters": "AverageMeter MetricMeter",
    "dassl.utils.registry": "Registry",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_are_there(module):
    content = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(content, name)] == []


ABSENT = [
    ("dassl.data.datasets", "PACS"),
    ("dassl.modeling.ops", "TransNorm2d"),
    ("dassl.engine.da", "MCD"),
    ("dassl.engine.dg", "CrossGrad"),
    ("dassl.engine.ssl", "FixMatch"),
]


@pytest.mark.parametrize(("module", "name"), ABSENT)
def test_what_is_not_here_says_so_and_names_the_page(module, name):
    with pytest.raises(ImportError, match=f"has no {name}, which upstream Dassl has.*docs/public-repositories.md"):
        exec(f"from {module} import {name}")
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec(f"from {module} import Nothing")


def test_tensorboard_s_writer_is_loaded_when_asked_for():
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter as Torchs

    from dassl.engine.trainer import SummaryWriter

    assert SummaryWriter is Torchs


def test_import_has_no_side_effects():
    """No optional package is needed, and warnings and stdout stay as they were."""
    code = (
        "import sys, warnings\n"
        "before = list(warnings.filters)\n"
        "for name in ('gdown', 'wilds', 'tensorboard', 'tabulate'): sys.modules[name] = None\n"
        "import torch, torchvision\n"
        "before = list(warnings.filters)\n"
        f"for module in {list(NAMES)!r}: __import__(module)\n"
        "assert list(warnings.filters) == before\n"
        "assert 'torch.utils.tensorboard' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
