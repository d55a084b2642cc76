"""Optimisers and schedules."""

import pytest
import torch
from torch import nn

from dassl.config import ConfigError, get_cfg_default
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.optim.lr_scheduler import ConstantWarmupScheduler, LinearWarmupScheduler
from dassl.optim.optimizer import AVAI_OPTIMS
from dassl.optim.radam import RAdam
from dassl.optim.schedules import Schedule


@pytest.fixture
def optim_cfg():
    cfg = get_cfg_default().OPTIM
    cfg.WEIGHT_DECAY = 0.125
    cfg.MOMENTUM = 0.8
    cfg.ADAM_BETA1 = 0.7
    return cfg


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def train(optimizer, module, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def configured(optim_cfg, values):
    for key, value in values.items():
        optim_cfg[key] = tuple(value) if isinstance(value, list) else value
    return optim_cfg


def test_schedules_equal_the_golden_numbers(golden, optim_cfg):
    for case in golden("lr_schedule.json")["cases"]:
        cfg = configured(optim_cfg, case["config"])
        expected = pytest.approx(case["lr_per_epoch"], rel=0, abs=1e-12)
        schedule = Schedule.from_config(cfg)
        assert [schedule.lr(epoch, cfg.LR) for epoch in range(cfg.MAX_EPOCH)] == expected
        cfg.NAME = "sgd"
        optimizer = build_optimizer(model(), cfg)
        scheduler = build_lr_scheduler(optimizer, cfg)
        rates = []
        for _ in range(cfg.MAX_EPOCH):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates == expected


def test_a_rate_of_every_step_is_torch_s_cosine_over_all_steps(optim_cfg):
    values = {"LR_SCHEDULER": "cosine", "MAX_EPOCH": 3, "NAME": "sgd", "SCHEDULE_UNIT": "step"}
    cfg, rates = configured(optim_cfg, values), {}
    for name in ("ours", "torch"):
        optimizer = build_optimizer(model(), cfg)
        torch_s = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
        scheduler = build_lr_scheduler(optimizer, cfg, steps=4) if name == "ours" else torch_s
        rates[name] = []
        for _ in range(12):
            rates[name].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    assert rates["ours"] == pytest.approx(rates["torch"], rel=1e-9)
    with pytest.raises(ConfigError, match="SCHEDULE_UNIT"):  # of a trainer that knows whole epochs alone
        build_lr_scheduler(build_optimizer(model(), cfg), cfg)


@pytest.mark.parametrize("name", ["single_step", "multi_step", "cosine"])
def test_without_warmup_as_torch_s_own(name, optim_cfg):
    values = {"LR_SCHEDULER": name, "STEPSIZE": [3, 5], "GAMMA": 0.3, "MAX_EPOCH": 9, "NAME": "sgd"}
    cfg = configured(optim_cfg, values)
    ours, theirs = (build_optimizer(model(), cfg) for _ in range(2))
    scheduler = build_lr_scheduler(ours, cfg)
    reference = {
        "single_step": lambda: torch.optim.lr_scheduler.StepLR(theirs, 5, 0.3),
        "multi_step": lambda: torch.optim.lr_scheduler.MultiStepLR(theirs, [3, 5], 0.3),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 9),
    }[name]()
    for _ in range(9):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], abs=1e-15)
        for optimizer, sched in ((ours, scheduler), (theirs, reference)):
            optimizer.step()
            sched.step()


def test_scheduler_state_is_numbers_and_restores(optim_cfg):
    values = {"LR_SCHEDULER": "cosine", "WARMUP_EPOCH": 2, "MAX_EPOCH": 8, "LR": 0.5}
    cfg = configured(optim_cfg, values)
    first, second = (build_optimizer(model(), cfg) for _ in range(2))
    scheduler = build_lr_scheduler(first, cfg)
    for _ in range(4):
        first.step()
        scheduler.step()
    state = scheduler.state_dict()
    assert state == {"last_epoch": 4, "base_lrs": [0.5]}
    again = build_lr_scheduler(second, cfg)
    again.load_state_dict(state)
    for _ in range(3):
        assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"] == again.get_last_lr()[0]
        for optimizer, sched in ((first, scheduler), (second, again)):
            optimizer.step()
            sched.step()


def test_warmup_as_long_as_training(optim_cfg):
    values = {"LR_SCHEDULER": "cosine", "WARMUP_EPOCH": 3, "MAX_EPOCH": 3, "WARMUP_RECOUNT": False}
    schedule = Schedule.from_config(configured(optim_cfg, values))
    assert [schedule.lr(epoch, 0.3) for epoch in range(3)] == pytest.approx([1e-5, 0.1, 0.2])
    assert schedule.lr(3, 0.3) == 0  # asked for after the last epoch, when nothing is trained any more


@pytest.mark.parametrize("key", ["LR_SCHEDULER", "WARMUP_TYPE"])
def test_unknown_schedules_are_refused(key, optim_cfg):
    cfg = configured(optim_cfg, {"WARMUP_EPOCH": 1, key: "cosin"})
    with pytest.raises(ValueError, match="'cosin'"):
        Schedule.from_config(cfg)


@pytest.mark.parametrize("name", AVAI_OPTIMS)
def test_optimisers_equal_torch_s(name, optim_cfg):
    cfg = configured(optim_cfg, {"NAME": name, "LR": 0.05})
    ours, theirs = model(), model()
    parameters, common = list(theirs.parameters()), {"lr": 0.05, "weight_decay": 0.125}
    betas = {"betas": (0.7, 0.999)}
    reference = {
        "adam": lambda: torch.optim.Adam(parameters, **betas, **common),
        "amsgrad": lambda: torch.optim.Adam(parameters, amsgrad=True, **betas, **common),
        "adamw": lambda: torch.optim.AdamW(parameters, **betas, **common),
        "radam": lambda: torch.optim.RAdam(parameters, decoupled_weight_decay=True, **betas, **common),
        "sgd": lambda: torch.optim.SGD(parameters, momentum=0.8, **common),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, momentum=0.8, alpha=0.99, **common),
    }[name]()
    assert torch.equal(train(build_optimizer(ours, cfg), ours), train(reference, theirs))


def test_what_is_optimised(optim_cfg):
    module = model()
    module[0].requires_grad_(False)
    groups = build_optimizer(module, optim_cfg).param_groups
    assert len(groups) == 1 and len(groups[0]["params"]) == 4  # frozen ones too
    assert len(build_optimizer(module[1].parameters(), optim_cfg).param_groups[0]["params"]) == 2
    groups = [{"params": module[0].parameters(), "lr": 1.0}, {"params": module[1].parameters()}]
    rates = [group["lr"] for group in build_optimizer(None, optim_cfg, groups).param_groups]
    assert rates == [1.0, optim_cfg.LR]
    with pytest.raises(ValueError, match="'adam'"):
        build_optimizer(module, configured(optim_cfg, {"NAME": "adan"}))


def test_staged_rates(optim_cfg):
    cfg = configured(optim_cfg, {"STAGED_LR": True, "NEW_LAYERS": ["1"], "LR": 0.5, "WARMUP_EPOCH": 2})
    optimizer = build_optimizer(model(), cfg)
    assert [(g["lr"], len(g["params"])) for g in optimizer.param_groups] == [(0.05, 2), (0.5, 2)]
    scheduler = build_lr_scheduler(optimizer, cfg)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.025, 0.25]
    for layers, target in ((["head"], model()), ([], list(model().parameters()))):
        with pytest.raises(ValueError):
            build_optimizer(target, configured(cfg, {"NEW_LAYERS": layers}))


@pytest.mark.parametrize("name", ["adam", "amsgrad", "radam", "adamw"])
def test_adam_s_eps(name, optim_cfg):
    """torch's default unless set; a foreign tree without the key has the default."""
    optim_cfg.NAME = name
    assert build_optimizer(model(), optim_cfg).defaults["eps"] == 1e-8
    optim_cfg.ADAM_EPS = 1e-3
    optimizer = build_optimizer(model(), optim_cfg)
    assert all(group["eps"] == 1e-3 for group in optimizer.param_groups)
    del optim_cfg["ADAM_EPS"]
    assert build_optimizer(model(), optim_cfg).defaults["eps"] == 1e-8


@pytest.mark.parametrize(("kind", "rate"), [("constant", 1e-5), ("linear", 2e-5)])
def test_published_warm_up_schedulers_give_the_engine_s_rates(kind, rate, optim_cfg):
    """As public trainers build them: around torch's own cosine."""
    key = "WARMUP_CONS_LR" if kind == "constant" else "WARMUP_MIN_LR"
    values = {"NAME": "sgd", "LR": 0.1, "LR_SCHEDULER": "cosine", "MAX_EPOCH": 9, "WARMUP_EPOCH": 3, key: rate}
    cfg = configured(optim_cfg, values | {"WARMUP_TYPE": kind})
    ours, theirs = (build_optimizer(model(), cfg) for _ in range(2))
    schedule = build_lr_scheduler(ours, cfg)
    make = {"constant": ConstantWarmupScheduler, "linear": LinearWarmupScheduler}[kind]
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 9)
    published = make(theirs, successor, cfg.WARMUP_EPOCH, rate)
    for _ in range(9):
        assert theirs.param_groups[0]["lr"] == pytest.approx(ours.param_groups[0]["lr"], rel=1e-6)
        for optimizer, scheduler in ((ours, schedule), (theirs, published)):
            optimizer.step()
            scheduler.step()


def test_radam_is_torch_s_with_decoupled_decay():
    published, torchs = model(), model()
    train(RAdam(published.parameters(), 0.1, weight_decay=0.1), published)
    train(torch.optim.RAdam(torchs.parameters(), 0.1, weight_decay=0.1, decoupled_weight_decay=True), torchs)
    assert all(map(torch.equal, published.parameters(), torchs.parameters()))
