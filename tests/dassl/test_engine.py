"""A CoOp-style plugin, unmodified, through its life: train, log, save, resume, load, test."""

import re
import sys

import pytest
import torch
from torch import nn

from dassl.data.datasets import DATASET_REGISTRY, Datum
from dassl.engine import TRAINER_REGISTRY, SimpleTrainer, TrainerBase, TrainerX, TrainerXU, build_trainer
from dassl.evaluation import build_evaluator
from dassl.modeling import BACKBONE_REGISTRY, HEAD_REGISTRY, Backbone

LINE = re.compile(
    r"epoch \[(\d+)/(\d+)\] batch \[(\d+)/(\d+)\] "
    r"time \d+\.\d{3} \(\d+\.\d{3}\) data \d+\.\d{3} \(\d+\.\d{3}\) "
    r"loss -?\d+\.\d{4} \(-?\d+\.\d{4}\) acc \d+\.\d{4} \(\d+\.\d{4}\) lr (\d\.\d{4}e-\d\d) eta \d+:\d\d:\d\d"
)
SMALL = ("INPUT.SIZE", "(16, 16)", "DATALOADER.NUM_WORKERS", "0", "DATALOADER.TRAIN_X.BATCH_SIZE", "5")


@pytest.fixture
def plugin(coop_style, data_root, tmp_path):
    """Runs the plugin's train.py with a small configuration."""
    yaml = tmp_path / "method.yaml"
    yaml.write_text(
        "INPUT:\n  TRANSFORMS: ['random_resized_crop', 'random_flip', 'normalize']\n"
        "OPTIM:\n  NAME: sgd\n  LR: 0.5\n  MAX_EPOCH: 3\n  LR_SCHEDULER: cosine\n"
        "  WARMUP_EPOCH: 1\n  WARMUP_TYPE: constant\n  WARMUP_CONS_LR: 1e-5\n"
        "TRAIN:\n  PRINT_FREQ: 2\nDATASET:\n  NAME: Colours\n"
    )

    def run(output, *more, flags=()):
        arguments = ("--root", data_root, "--trainer", "Prompted", "--config-file", yaml, "--seed", 1)
        trainer = coop_style(*arguments, "--output-dir", tmp_path / output, *flags, *SMALL, *more)
        sys.stdout.close()
        sys.stdout = sys.stdout.console
        return trainer, (tmp_path / output / "log.txt").read_text().splitlines()

    return run


def block(log):
    """The last result block of a log."""
    start = len(log) - log[::-1].index("=> result") - 1
    return log[start : start + 6]


def test_training_log(plugin, tmp_path):
    trainer, log = plugin("run", "DATASET.NUM_SHOTS", "4")
    assert "Setting fixed seed: 1" not in log  # printed before the log is opened
    for earlier, later in (
        ("** Config **", "Collecting env info ..."),
        ("Collecting env info ...", "Loading trainer: Prompted"),
        ("Loading trainer: Prompted", "Loading dataset: Colours"),
        ("Loading dataset: Colours", "Creating a 4-shot dataset"),
        ("Creating a 4-shot dataset", "Transform for training:"),
        ("Transform for training:", "# train_x  16"),
        ("# train_x  16", "Building prompted model"),
        ("Building prompted model", "Loading evaluator: Classification"),
    ):
        assert log.index(earlier) < log.index(later)
    steps = [LINE.fullmatch(line).groups() for line in log if line.startswith("epoch [")]
    # 3 batches an epoch, every second is printed; the rate of the next epoch is set within the last batch
    assert steps == [(str(e), "3", "2", "3", lr) for e, lr in ((1, "1.0000e-05"), (2, "5.0000e-01"), (3, "3.7500e-01"))]
    end = log[log.index(f"Checkpoint saved to {tmp_path}/run/prompt_learner/model.pth.tar-3") :]
    assert end[1:5] == [
        "Finish training",
        "Finished training",
        "Deploy the last-epoch model",
        "Evaluate on the *test* set",
    ]
    assert end[5:7] == ["=> result", "* total: 16"]
    assert [line.split(":")[0] for line in end[7:11]] == ["* correct", "* accuracy", "* error", "* macro_f1"]
    assert re.fullmatch(r"Elapsed: \d+:\d\d:\d\d", end[11]) and len(end) == 12
    assert trainer.evaluator.last_results["accuracy"] == pytest.approx(float(end[8].split()[-1][:-1]), abs=0.06)
    files = {path.name for path in (tmp_path / "run" / "prompt_learner").iterdir()}
    assert files == {"model.pth.tar-3", "checkpoint"}
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_short_epochs_have_a_line_each(plugin):
    _, log = plugin("run", "TRAIN.PRINT_FREQ", "5", "OPTIM.MAX_EPOCH", "1", "TEST.NO_TEST", "True")
    assert [LINE.fullmatch(line)[3] for line in log if line.startswith("epoch [")] == ["4"]
    assert "=> result" not in log and log[-1].startswith("Elapsed")
    _, log = plugin("run4", "TRAIN.PRINT_FREQ", "4", "OPTIM.MAX_EPOCH", "1")
    assert [LINE.fullmatch(line)[3] for line in log if line.startswith("epoch [")] == ["4"]


def test_same_seed_same_run(plugin):
    results = [plugin(f"run{i}")[0].model.prompt_learner.ctx for i in range(2)]
    assert torch.equal(*results)


def test_load_for_other_classes_drops_the_prefix(plugin, tmp_path):
    trained, _ = plugin("base", "DATASET.SUBSAMPLE_CLASSES", "base")
    flags = ("--eval-only", "--model-dir", tmp_path / "base", "--load-epoch", "3")
    loaded, log = plugin("new", "DATASET.SUBSAMPLE_CLASSES", "new", flags=flags)
    assert torch.equal(loaded.model.prompt_learner.ctx, trained.model.prompt_learner.ctx)
    assert loaded.dm.dataset.classnames == ["cyan", "green"]
    path = tmp_path / "base" / "prompt_learner" / "model.pth.tar-3"
    assert f'Loading weights to prompt_learner from "{path}" (epoch = 3)' in log
    assert "=> result" in log and not {"Finish training", "Finished training"} & set(log)
    with pytest.raises(FileNotFoundError, match="model-best"):
        plugin("x", flags=("--eval-only", "--model-dir", tmp_path / "base"))


def test_interrupted_run_resumes_to_the_same_end(plugin, tmp_path, monkeypatch):
    """Order of the images and their augmentation continue too, so that nothing tells the runs apart."""
    fixed = ("TRAIN.CHECKPOINT_FREQ", "1", "DATALOADER.NUM_WORKERS", "1")
    whole, whole_log = plugin("whole", *fixed)

    def interrupt(self):
        if self.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TRAINER_REGISTRY.get("Prompted"), "before_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            plugin("cut", *fixed)
    resumed, _ = plugin("cut", *fixed)
    (log,) = (tmp_path / "cut").glob("log.txt-*")
    lines = log.read_text().splitlines()
    assert resumed.start_epoch == 2 and f"Resuming the training in {tmp_path / 'cut'}" in lines
    assert torch.equal(resumed.model.prompt_learner.ctx, whole.model.prompt_learner.ctx)
    assert block(lines) == block(whole_log)
    elsewhere, _ = plugin("new", *fixed, flags=("--resume", tmp_path / "cut"))
    assert elsewhere.start_epoch == 3
    with pytest.raises(FileNotFoundError, match="RESUME is"):
        plugin("new2", *fixed, flags=("--resume", tmp_path / "nowhere"))


def test_best_on_validation(tiny_cfg, monkeypatch, capsys):
    """The best epoch is saved when strictly better, loaded at the end, and remembered when resuming."""
    tiny_cfg.TEST.FINAL_MODEL = "best_val"
    tiny_cfg.OPTIM.MAX_EPOCH = 4
    results = {0: 10.0, 1: 30.0, 2: 30.0, 3: 20.0}
    trainer_class = TRAINER_REGISTRY.get("Prompted")
    marks = []

    def fake_test(self, split=None):
        marks.append((split, self.epoch, self.model.prompt_learner.ctx[0, 0].item()))
        return results[self.epoch]

    monkeypatch.setattr(trainer_class, "test", fake_test)
    trainer = build_trainer(tiny_cfg)
    trainer.train()
    folder = f"{tiny_cfg.OUTPUT_DIR}/prompt_learner"
    best = torch.load(f"{folder}/model-best.pth.tar", weights_only=True)
    assert (best["epoch"], best["val_result"]) == (2, 30.0)
    assert [mark[:2] for mark in marks] == [("val", 0), ("val", 1), ("val", 2), ("val", 3), (None, 3)]
    assert marks[-1][2] == marks[1][2] == best["state_dict"]["ctx"][0, 0]
    assert "Deploy the model with the best val performance" in capsys.readouterr().out

    tiny_cfg.OPTIM.MAX_EPOCH = 5
    results[4] = 29.0
    again = build_trainer(tiny_cfg)
    again.train()
    assert again.best_result == 30.0
    assert torch.load(f"{folder}/model-best.pth.tar", weights_only=True)["epoch"] == 2


def test_val_split_falls_back_to_test(tiny_cfg, capsys):
    trainer = build_trainer(tiny_cfg)
    process = trainer.evaluator.process

    def process_without_gradients(output, label):
        assert not output.requires_grad
        process(output, label)

    trainer.evaluator.process = process_without_gradients
    accuracy = trainer.test(split="val")
    assert accuracy == trainer.evaluator.last_results["accuracy"]
    assert "Evaluate on the *val* set\n=> result\n* total: 12" in capsys.readouterr().out
    trainer.val_loader = None
    trainer.test(split="val")
    assert "Evaluate on the *test* set\n=> result\n* total: 16" in capsys.readouterr().out
    assert not trainer.model.training or not trainer.model.prompt_learner.training


def test_order_of_hooks(tiny_cfg):
    calls = []
    base = TRAINER_REGISTRY.get("Prompted")

    def traced(name):
        def call(self, *args, **kwargs):
            calls.append(name)
            return getattr(base, name)(self, *args, **kwargs)

        return call

    names = "check_cfg build_data_loader build_model before_train before_epoch run_epoch forward_backward "
    names += "update_lr after_epoch save_model after_train load_model test model_inference close_writer"
    traced_class = type("Traced", (base,), {name: traced(name) for name in names.split()})
    tiny_cfg.OPTIM.MAX_EPOCH = 2
    tiny_cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 12
    tiny_cfg.TRAIN.CHECKPOINT_FREQ = 1
    trainer = traced_class(tiny_cfg)
    trainer.train()
    epoch = ["before_epoch", "run_epoch", *["forward_backward"] * 2, "update_lr", "after_epoch", "save_model"]
    expected = ["check_cfg", "build_data_loader", "build_model", "before_train", *epoch, *epoch]
    assert calls == [*expected, "after_train", "test", "model_inference", "close_writer"]


def test_attributes_that_plugins_read(tiny_cfg):
    trainer = build_trainer(tiny_cfg)
    assert (trainer.epoch, trainer.start_epoch, trainer.max_epoch) == (0, 0, 2)
    assert trainer.output_dir == tiny_cfg.OUTPUT_DIR and trainer.cfg is tiny_cfg
    assert trainer.best_result == -float("inf") and trainer.num_classes == 4 and trainer.num_source_domains == 0
    assert trainer.train_loader_x is trainer.dm.train_loader_x and trainer.lab2cname[0] == "amber"
    assert trainer.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert trainer.get_model_names() == ["prompt_learner"]
    tiny_cfg.TEST.FINAL_MODEL = "best"
    with pytest.raises(ValueError, match="best_val"):
        build_trainer(tiny_cfg)


def test_without_tensorboard(tiny_cfg, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    tiny_cfg.OPTIM.MAX_EPOCH = 1
    build_trainer(tiny_cfg).train()
    assert capsys.readouterr().out.count("TensorBoard is not installed") == 1


class TestTrainerBase:
    @pytest.fixture
    def trainer(self):
        trainer = TrainerBase()
        for name in ("a", "b"):
            model = nn.Linear(1, 1, bias=False)
            nn.init.ones_(model.weight)
            optim = torch.optim.SGD(model.parameters(), lr=0.5)
            sched = torch.optim.lr_scheduler.StepLR(optim, 1, 0.1)
            trainer.register_model(name, model, optim, sched)
        trainer.register_model("frozen", nn.Linear(1, 1))
        return trainer

    def test_registering(self, trainer):
        assert trainer.get_model_names() == ["a", "b", "frozen"] and trainer.get_model_names("b") == ["b"]
        with pytest.raises(ValueError, match="'a'"):
            trainer.register_model("a", nn.Linear(1, 1))
        with pytest.raises(KeyError, match="'c'"):
            trainer.get_model_names(["a", "c"])
        with pytest.raises(AttributeError, match="super"):
            TrainerBase.register_model(TrainerBase.__new__(TrainerBase), "x")

    def test_modes_and_rates(self, trainer):
        trainer.set_model_mode("eval", "a")
        assert [trainer._models[n].training for n in ("a", "b")] == [False, True]
        trainer.set_model_mode("test")
        assert not trainer._models["b"].training
        with pytest.raises(KeyError):
            trainer.set_model_mode("training")
        trainer.model_update()
        trainer.update_lr("b")
        assert trainer.get_current_lr() == 0.5 and trainer.get_current_lr("b") == pytest.approx(0.05)
        assert trainer.get_current_lr("frozen") == 0.0

    def test_a_step_on_chosen_models(self, trainer):
        a, b = (trainer._models[name] for name in ("a", "b"))
        trainer.model_backward_and_update((a.weight + b.weight).sum(), names="a")
        assert (a.weight.item(), b.weight.item()) == (0.5, 1.0)
        trainer.model_zero_grad()
        assert b.weight.grad is None or b.weight.grad.item() == 0

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_bad_losses_stop_training(self, trainer, value):
        with pytest.raises(FloatingPointError, match="Loss is infinite or NaN!"):
            trainer.model_backward_and_update(torch.tensor(value, requires_grad=True))


@pytest.fixture(scope="module")
def registered(coop_style):
    """A backbone, a head, a trainer on labelled data, and one with unlabelled data beside."""

    @BACKBONE_REGISTRY.register()
    class MeanColour(Backbone):
        def __init__(self, pretrained=True):
            super().__init__()
            self.out_features = 3

        def forward(self, x):
            return x.mean(dim=(2, 3))

    @HEAD_REGISTRY.register()
    class OneLayer(nn.Module):
        def __init__(self, in_features, hidden_layers, activation, bn, dropout):
            super().__init__()
            self.out_features = hidden_layers[0]
            self.layer = nn.Linear(in_features, hidden_layers[0])

        def forward(self, x):
            return self.layer(x)

    @TRAINER_REGISTRY.register()
    class Plain(TrainerX):
        def forward_backward(self, batch):
            input, label, domain = self.parse_batch_train(batch)
            assert len(domain) == len(label)
            loss = nn.functional.cross_entropy(self.model(input), label)
            self.model_backward_and_update(loss)
            if self.batch_idx + 1 == self.num_batches:
                self.update_lr()
            return {"loss": loss.item()}

    @TRAINER_REGISTRY.register()
    class Semi(TrainerXU):
        def forward_backward(self, batch_x, batch_u):
            input_x, label_x, input_u = self.parse_batch_train(batch_x, batch_u)
            self.sizes = [*getattr(self, "sizes", []), (len(input_x), len(label_x), len(input_u))]
            return {"loss": self.model(input_x).mean() + self.model(input_u).mean()}

    @DATASET_REGISTRY.register()
    class ColoursWithoutLabels(DATASET_REGISTRY.get("Colours")):
        def __init__(self, cfg):
            super().__init__(cfg)
            self._train_u = [Datum(item.impath, -1) for item in self.train_x[:14]]


@pytest.fixture
def simple_cfg(tiny_cfg, registered):
    tiny_cfg.TRAINER.NAME = "Plain"
    tiny_cfg.MODEL.BACKBONE.NAME = "MeanColour"
    return tiny_cfg


def test_simple_net_learns_colours(simple_cfg, capsys):
    simple_cfg.MODEL.HEAD.NAME = "OneLayer"
    simple_cfg.MODEL.HEAD.HIDDEN_LAYERS = (7,)
    simple_cfg.OPTIM.LR = 0.2
    simple_cfg.OPTIM.MAX_EPOCH = 6
    torch.manual_seed(0)
    trainer = build_trainer(simple_cfg)
    assert trainer.model.fdim == 7 and trainer.get_model_names() == ["model"]
    trainer.train()
    assert trainer.evaluator.last_results["accuracy"] == 100.0
    assert "Backbone: MeanColour\nHead: OneLayer\n# params: 60\n" in capsys.readouterr().out
    logits, features = trainer.model(torch.rand(2, 3, 4, 4), return_feature=True)
    assert logits.shape == (2, 4) and features.shape == (2, 7)


@pytest.mark.parametrize(("count", "steps"), [("train_x", 4), ("train_u", 3), ("smaller_one", 3)])
def test_unlabelled_batches_beside_labelled(simple_cfg, count, steps):
    simple_cfg.TRAINER.NAME = "Semi"
    simple_cfg.DATASET.NAME = "ColoursWithoutLabels"
    simple_cfg.DATALOADER.TRAIN_U.SAME_AS_X = False
    simple_cfg.DATALOADER.TRAIN_U.BATCH_SIZE = 4
    simple_cfg.TRAIN.COUNT_ITER = count
    trainer = build_trainer(simple_cfg)
    trainer.run_epoch()
    assert trainer.sizes == [(5, 5, 4)] * steps and trainer.num_batches == steps


def test_semi_supervised_needs_unlabelled_data(simple_cfg):
    simple_cfg.TRAINER.NAME = "Semi"
    with pytest.raises(ValueError, match="train_u"):
        build_trainer(simple_cfg).run_epoch()


def test_evaluator_is_there_when_test_is_overridden(simple_cfg):
    """The result can be read from the evaluator even if a plugin's test() returns nothing."""
    trainer = build_trainer(simple_cfg)
    trainer.evaluator = build_evaluator(simple_cfg, lab2cname=trainer.lab2cname)
    SimpleTrainer.test(trainer)
    assert set(trainer.evaluator.last_results) == {"accuracy", "error_rate", "macro_f1"}
