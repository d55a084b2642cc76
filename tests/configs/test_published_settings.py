"""Settings that published files and scripts have for some datasets, shots or protocols alone, after merging."""

import pytest

import train
import trainers  # noqa: F401  (registers the methods)
from runs.protocol import plan
from runs.sweep.plan import Request, expand
from trainers.base.run_settings import settings_of_run
from trainers.base.templates import dataset_template


def merged(trainer: str, protocol: str, dataset: str, *options: str, **kinds):
    """The settings of the first run of a protocol's first stage, as its script starts it."""
    run = plan(protocol, "train", trainer, dataset, [1], **kinds)[0]
    arguments = run.arguments(train.Path("output"), "data", options)
    return settings_of_run(train.parse(arguments)).cfg, run


@pytest.mark.parametrize(
    ("dataset", "epochs", "template"),
    [
        ("imagenet", 25, "[ctx] {}."),
        ("sun397", 25, "[ctx] {}."),
        ("ucf101", 50, "[ctx] person doing {}."),
        ("stanford_cars", 50, "[ctx] {}, a type of car"),
        ("dtd", 50, "[ctx] {} texture."),
        ("eurosat", 50, "[ctx] {}."),
    ],
)
@pytest.mark.parametrize("protocol", ["base2new", "few_shot"])
def test_tcp(protocol, dataset, epochs, template):
    cfg, _ = merged("TCP", protocol, dataset)
    assert ("adam", 1e-3, epochs) == (cfg.OPTIM.NAME, cfg.OPTIM.ADAM_EPS, cfg.OPTIM.MAX_EPOCH)
    assert template == cfg.TRAINER.TCP.TEMPLATE
    assert merged("TCP", protocol, dataset, "OPTIM.MAX_EPOCH", "3")[0].OPTIM.MAX_EPOCH == 3


def test_mma_on_imagenet():
    assert merged("MMA", "base2new", "imagenet")[0].DATALOADER.TRAIN_X.BATCH_SIZE == 128
    assert merged("MMA", "base2new", "dtd")[0].DATALOADER.TRAIN_X.BATCH_SIZE == 16


def test_ivlp():
    cfg, _ = merged("IVLP", "base2new", "dtd")
    assert (cfg.OPTIM.LR, cfg.TRAINER.IVLP.PROMPT_DEPTH_VISION, cfg.TRAINER.IVLP.PROMPT_DEPTH_TEXT) == (0.0035, 12, 12)
    language, _ = merged("IVLP", "base2new", "dtd", cfg="vit_b16_c2_ep5_batch4_4ctx_language_only")
    assert (language.TRAINER.IVLP.PROMPT_DEPTH_VISION, language.TRAINER.IVLP.N_CTX_VISION) == (0, 0)


@pytest.mark.parametrize(("shots", "epochs"), [(1, 50), (2, 100), (4, 100), (8, 200), (16, 200)])
@pytest.mark.parametrize(("dataset", "reduced"), [("oxford_flowers", True), ("eurosat", True), ("food101", False)])
def test_prograd_by_shots(dataset, reduced, shots, epochs):
    cfg, _ = merged("ProGrad", "few_shot", dataset, shots=[shots])
    node = cfg.TRAINER.PROGRAD
    assert ("RN50", epochs, 16) == (cfg.MODEL.BACKBONE.NAME, cfg.OPTIM.MAX_EPOCH, node.N_CTX)
    assert (0.8 if reduced and shots >= 8 else 1.0) == node.LAMBDA


def test_prograd_starts_from_the_words_of_its_template():
    assert merged("ProGrad", "few_shot", "oxford_pets")[0].TRAINER.PROGRAD.CTX_INIT == "a type of pet, a photo of a"
    assert merged("ProGrad", "base2new", "dtd")[0].TRAINER.PROGRAD.CTX_INIT == "a texture of"
    assert merged("ProGrad", "base2new", "caltech101")[0].TRAINER.PROGRAD.CTX_INIT == "a photo of a"


@pytest.mark.parametrize(
    ("trainer", "protocol", "shots"),
    [
        ("ProGrad", "base2new", [4]),
        ("ProGrad", "cross_dataset", [4]),
        ("KgCoOp", "cross_dataset", [4]),
        ("ProLIP", "cross_dataset", [4]),
        ("ProLIP", "base2new", [16]),
        ("KgCoOp", "base2new", [16]),
        ("ProGrad", "few_shot", [1, 2, 4, 8, 16]),
        ("CoOp", "base2new", [16]),
    ],
)
def test_shots_are_the_published_ones(trainer, protocol, shots):
    dataset = "imagenet"
    runs = plan(protocol, "train", trainer, dataset, [1])
    assert [run.options["DATASET.NUM_SHOTS"] for run in runs] == shots
    wanted = Request(protocol, [trainer], [dataset], [1], presets=("paper",))
    swept = {run.options["DATASET.NUM_SHOTS"] for run in expand(wanted)}
    assert swept == set(shots)
    assert {r.options["DATASET.NUM_SHOTS"] for r in plan(protocol, "train", trainer, dataset, [1], [2])} == {2}


def test_preset_fair_compares_on_one_backbone_and_number_of_shots():
    runs = expand(Request("base2new", ["ProGrad", "CoOp"], ["dtd"], [1], presets=("fair",)))
    assert {run.options["DATASET.NUM_SHOTS"] for run in runs} == {16}
    assert {run.cfg for run in runs if run.trainer == "ProGrad"} == {"vit_b16_ep100_ctxv1"}


@pytest.mark.parametrize(
    ("method", "dataset", "template"),
    [
        ("KgCoOp", "DescribableTextures", "a photo of a {}, a type of texture."),
        ("KgCoOp", "OxfordPets", "a photo of a {}, a type of pet."),
        ("TCP", "FGVCAircraft", "a photo of an aircraft {}."),
        ("TCP", "Food101", "a photo of a {}, a type of food."),
        ("ProGrad", "OxfordPets", "a type of pet, a photo of a {}."),
        ("ProGrad", "DescribableTextures", "a texture of {}."),
        ("CoOp", "DescribableTextures", "{} texture."),
        ("MMRL", "Food101", "a photo of {}, a type of food."),
    ],
)
def test_templates_of_teachers(method, dataset, template):
    assert dataset_template(dataset, method) == template


@pytest.mark.parametrize(
    ("dataset", "alpha", "scale", "epochs"),
    [
        ("imagenet", 1.17, (7.0, 3.0), 20),
        ("dtd", 2.0, (13.0, 13.0), 20),
        ("eurosat", 2.0, (12.0, 10.0), 100),
        ("fgvc_aircraft", 5.0, (30.0, 30.0), 20),
    ],
)
def test_tip_adapter_f(dataset, alpha, scale, epochs):
    cfg, _ = merged("TipAdapterF", "few_shot", dataset)
    node = cfg.TRAINER.TIPADAPTERF
    assert (node.INIT_BETA, node.INIT_ALPHA, tuple(node.SEARCH_SCALE)) == (1.0, alpha, scale)
    assert (1e-4, epochs) == (cfg.OPTIM.ADAM_EPS, cfg.OPTIM.MAX_EPOCH)


def test_promptkd_learns_on_each_target():
    """A student for each target; domain generalization tests the one of the source, as every other method does."""
    runs = expand(Request("cross_dataset", ["PromptKD", "CoOp"], ["dtd", "eurosat"], [1]))
    tests = {run.trainer: run for run in runs if run.dataset == "dtd"}
    assert tests["PromptKD"].model_folder is None and tests["PromptKD"].options["STAGE"] == "test"
    assert tests["CoOp"].model_folder == "cross_datasets/train/imagenet/shots_16/CoOp/vit_b16_ep50_ctxv1/seed1"
    cfg = settings_of_run(train.parse(tests["PromptKD"].arguments(train.Path("output"), "data", []))).cfg
    assert (cfg.DATASET.UNLABELLED, cfg.DATASET.SUBSAMPLE_CLASSES, cfg.TEST.CLASSES) == (True, "all", "unseen")
    assert cfg.TRAINER.PROMPTKD.PROMPT_DEPTH_VISION == 3 and cfg.TRAINER.PROMPTKD.KD_WEIGHT == 1000
    run = plan("domain_generalization", "test", "PromptKD", "imagenetv2", [1])[0]
    assert run.model_folder is not None


def test_prolip_searches_where_it_is_asked_to():
    assert not merged("ProLIP", "few_shot", "dtd")[0].TRAINER.PROLIP.SEARCH
    searched = merged("ProLIP", "few_shot", "dtd", cfg="rn50_search")[0]
    assert searched.TRAINER.PROLIP.SEARCH and searched.MODEL.BACKBONE.NAME == "RN50"
