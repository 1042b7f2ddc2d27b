"""The trajectory probe, against closed forms and in a real Trainer."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import LIGHTNING_WARNINGS, QUIET
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from grokpredict.diagnosis.probe import TrajectoryProbe
from grokpredict.diagnosis.trajectory import Trajectory, slingshots
from grokpredict.logs import read_run
from grokpredict.runs.curve import Curve

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]

LAMBDA = np.array([0.2, 1.0, 3.0, 6.0])
START = np.array([2.0, -1.0, 0.5, 1.0])
ETA = 0.1


class Quadratic(nn.Module):
    """Loss 1/2 sum lambda x^2, with the parameters in two tensors."""

    def __init__(self) -> None:
        super().__init__()
        x = torch.tensor(START, dtype=torch.float64)
        self.one, self.two = nn.Parameter(x[:1].clone()), nn.Parameter(x[1:].reshape(3, 1).clone())

    def forward(self, batch: object = None) -> torch.Tensor:
        x = torch.cat([self.one, self.two.flatten()])
        return 0.5 * (torch.tensor(LAMBDA, dtype=torch.float64) * x**2).sum()


def descend(probe: TrajectoryProbe, n_steps: int = 30, weight_decay: float = 0.0) -> None:
    module = Quadratic()
    optimizer = torch.optim.SGD(module.parameters(), lr=ETA, weight_decay=weight_decay)
    probe.watch(module, optimizer)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = module()
        loss.backward()
        probe.before_step(loss)
        optimizer.step()
        probe.after_step()
    probe.finish()


def expected(steps: np.ndarray) -> np.ndarray:
    """x_t = (1 - eta lambda)^t x_0, one row a step."""
    return (1 - ETA * LAMBDA) ** steps[:, None] * START


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize("every", [1, 7])
def test_gradient_descent_on_a_quadratic_has_every_value(every: int) -> None:
    probe = TrajectoryProbe(every=every)
    descend(probe)
    found = probe.trajectory
    steps = np.arange(0, 30, every)
    x = expected(steps)
    g = LAMBDA * x
    assert found.steps.tolist() == steps.tolist()
    np.testing.assert_allclose(found.loss, 0.5 * (LAMBDA * x**2).sum(1), rtol=1e-12)
    np.testing.assert_allclose(found.weight_norm, np.linalg.norm(x, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.grad_norm, np.linalg.norm(g, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.update_norm, ETA * np.linalg.norm(g, axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.cos_step[1:], cosines(x[1:], x[:-1]), rtol=1e-12)
    np.testing.assert_allclose(found.cos_start[1:], cosines(x[1:], x[:1]), rtol=1e-12)
    np.testing.assert_allclose(found.cos_grad[1:], cosines(g[1:], g[:-1]), rtol=1e-12)
    assert np.isnan([found.cos_step[0], found.cos_start[0], found.cos_grad[0]]).all()
    assert not found.clock.any()


def test_the_clock_adds_rate_times_decay_of_a_schedule() -> None:
    module = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.5)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    probe = TrajectoryProbe(every=1).watch(module, optimizer)
    for _ in range(6):
        module.weight.grad = torch.zeros_like(module.weight)  # decay alone moves it
        probe.before_step()
        optimizer.step()
        probe.after_step()
        schedule.step()
    clock = probe.trajectory.clock
    np.testing.assert_allclose(clock, 0.05 * (1 - 0.9 ** np.arange(6)) / 0.1, rtol=1e-12)
    shrunk = probe.trajectory.weight_norm / probe.trajectory.weight_norm[0]
    np.testing.assert_allclose(shrunk, np.exp(-clock), rtol=0.02)


def test_the_clock_is_that_of_the_group_that_decays_most_parameters() -> None:
    large, small = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(3))
    free = nn.Parameter(torch.zeros(9))
    module = nn.ParameterList([large, small, free])
    groups = [
        {"params": [small], "lr": 1.0, "weight_decay": 4.0},
        {"params": [large], "lr": 0.1, "weight_decay": 0.5},
        {"params": [free], "lr": 1.0, "weight_decay": 0.0},
    ]
    probe = TrajectoryProbe(every=1).watch(module, torch.optim.AdamW(groups))
    for _ in range(3):
        probe.before_step()
        probe.after_step()
    np.testing.assert_allclose(probe.trajectory.clock, [0.0, 0.05, 0.1], rtol=1e-12)


def test_snapshots_are_spread_and_bounded() -> None:
    probe = TrajectoryProbe(every=2, snapshots=4)
    descend(probe, n_steps=61)
    steps = [each.step for each in probe.snapshots]
    assert steps == [0, 16, 32, 48, 61]
    for each in probe.snapshots[:-1]:
        x = expected(np.array([each.step, each.step + 1]))
        np.testing.assert_allclose(each.parameters.numpy(), x[0], rtol=1e-10)
        assert each.update is not None
        np.testing.assert_allclose(each.update.numpy(), x[1] - x[0], rtol=1e-6, atol=1e-15)
        assert each.learning_rate == ETA


def test_a_failure_is_said_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    module = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    probe = TrajectoryProbe(every=1).watch(module, optimizer)
    with torch.no_grad():
        for step in range(4):
            if step == 2:  # a loop that grows its network
                module.weight = nn.Parameter(torch.zeros(3, 4))
                probe._recorder.parameters[0] = module.weight  # type: ignore[union-attr]
            probe.before_step()
            probe.after_step()
    assert len(caplog.records) == 1
    assert probe.failure is not None
    assert probe.failure in caplog.text


def test_bad_arguments_raise_before_the_training() -> None:
    with pytest.raises(ValueError, match="every 1 or more steps, got 0"):
        TrajectoryProbe(every=0)
    with pytest.raises(ValueError, match="snapshots must be 0, or 2 and more, got 1"):
        TrajectoryProbe(snapshots=1)


class Descends(pl.LightningModule):
    def __init__(self, clip: float | None = None) -> None:
        super().__init__()
        self.net = Quadratic()

    def training_step(self, batch: object, batch_idx: int) -> torch.Tensor:
        loss = self.net()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=ETA)


def fit(tmp_path: object, probe: TrajectoryProbe, **options: object) -> pl.Trainer:
    logger = pl.loggers.CSVLogger(tmp_path, name="", version="")
    given = {**QUIET, "logger": logger, "log_every_n_steps": 1, "max_steps": 20, **options}
    trainer = pl.Trainer(callbacks=[probe], **given)
    data = DataLoader(TensorDataset(torch.zeros(10, 1)), batch_size=1)
    trainer.fit(Descends(), data)
    return trainer


def test_lightning_records_the_same_and_fills_the_channels(tmp_path) -> None:
    probe = TrajectoryProbe(every=5, snapshots=8)
    fit(tmp_path, probe)
    plain = TrajectoryProbe(every=5)
    descend(plain, n_steps=20)
    for name in ("steps", "loss", "weight_norm", "grad_norm", "update_norm", "cos_step"):
        np.testing.assert_allclose(
            getattr(probe.trajectory, name), getattr(plain.trajectory, name), rtol=1e-9
        )
    assert [each.step for each in probe.snapshots] == [0, 5, 10, 15, 20]
    run = read_run(tmp_path / "metrics.csv")
    for name in ("weight_norm", "grad_norm"):
        assert run.channels[name].steps.tolist() == [0, 5, 10, 15]
        np.testing.assert_allclose(
            run.channels[name].values, getattr(plain.trajectory, name), rtol=1e-6
        )


def test_accumulated_and_clipped_steps_count_once(tmp_path) -> None:
    probe = TrajectoryProbe(every=1)
    fit(tmp_path, probe, accumulate_grad_batches=2, gradient_clip_val=1e-3, max_steps=8)
    found = probe.trajectory
    assert found.steps.tolist() == list(range(8))
    x = expected(np.zeros(1))
    assert found.loss[0] == pytest.approx(0.5 * (LAMBDA * x**2).sum())
    assert found.grad_norm[0] == pytest.approx(np.linalg.norm(LAMBDA * x))  # before clipping
    assert found.update_norm[0] == pytest.approx(ETA * 1e-3)


def test_a_resumed_fit_goes_on_with_its_records(tmp_path) -> None:
    probe = TrajectoryProbe(every=5)
    trainer = fit(tmp_path, probe, max_steps=10)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    again = TrajectoryProbe(every=5)
    options = {**QUIET, "max_steps": 20}
    second = pl.Trainer(callbacks=[again], **options)
    data = DataLoader(TensorDataset(torch.zeros(10, 1)), batch_size=1)
    second.fit(Descends(), data, ckpt_path=tmp_path / "half.ckpt", **WEIGHTS_ONLY)
    found = again.trajectory
    assert found.steps.tolist() == [0, 5, 10, 15]
    np.testing.assert_allclose(
        found.weight_norm, np.linalg.norm(expected(found.steps), axis=1), rtol=1e-9
    )
    assert np.isnan(found.cos_step[2])
    assert np.isnan(found.cos_start[2:]).all()


@pytest.mark.parametrize("works", [True, False])
def test_no_hook_changes_the_training(works: bool) -> None:
    """The same numbers, bit for bit, with the probe and without."""

    def end(callbacks: list[TrajectoryProbe]) -> torch.Tensor:
        pl.seed_everything(0, verbose=False)
        module = Descends()
        layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        # Parameters of two types cannot be followed: the probe fails, the training does not.
        module.extra = layers.double() if works else layers
        module.net.forward = lambda: module.extra(torch.rand(4, 2).to(layers[0].weight)).sum() ** 2
        trainer = pl.Trainer(callbacks=callbacks, **{**QUIET, "max_steps": 12})
        trainer.fit(module, DataLoader(TensorDataset(torch.zeros(10, 1)), batch_size=1))
        return torch.cat([value.flatten().double() for value in module.state_dict().values()])

    probe = TrajectoryProbe(every=1, snapshots=2)
    without = end([])
    assert torch.equal(without, end([probe]))
    assert not torch.equal(without, end([]) + 1e-12)  # bits are compared, not closeness
    assert (probe.failure is None) == works
    assert len(probe.trajectory.steps) == (12 if works else 0)
    assert bool(probe.snapshots) == works


def test_a_log_handler_that_raises_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    monkeypatch.setattr(logging.getLogger("grokpredict"), "handlers", [Broken()])
    probe = TrajectoryProbe(every=1)
    probe.watch(nn.Linear(2, 1), object())  # type: ignore[arg-type]  # no optimiser at all
    probe.before_step(torch.ones(()))
    probe.after_step()
    assert probe.failure is not None


def spiked(n: int = 60, at: int = 40, height: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = np.exp(-np.arange(n) / 20 + rng.normal(0, 0.05, n))
    values[at : at + 2] *= height
    return values


def test_a_slingshot_needs_all_of_its_signs() -> None:
    steps = np.arange(60) * 10
    loss, calm = spiked(), spiked(height=1.0)
    cos = np.full(60, 0.999)
    whole = dict.fromkeys(("weight_norm", "update_norm", "clock"), calm)
    whole |= {"steps": steps, "loss": loss, "cos_start": cos, "cos_grad": cos}
    whole |= {"grad_norm": spiked(), "cos_step": 1 - 1e-3 * spiked(at=41)}
    (found,) = Trajectory(**whole).slingshots()
    assert found.step in (400, 410)
    assert found.height == pytest.approx(4.0, rel=0.6)
    assert found.confirmed_by == ("gradient", "direction")
    assert Trajectory(**{**whole, "grad_norm": calm}).slingshots() == []
    assert Trajectory(**{**whole, "cos_step": cos}).slingshots() == []
    assert Trajectory(**{**whole, "loss": calm}).slingshots() == []


def test_signs_with_a_cadence_of_their_own_or_gaps() -> None:
    loss = Curve(np.arange(600), np.repeat(spiked(), 10))
    coarse = Curve(np.arange(60) * 10, spiked())
    assert [s.confirmed_by for s in slingshots(loss, {"gradient": coarse})] == [("gradient",)]
    missing = Curve(coarse.steps, np.full(60, np.nan))
    assert slingshots(loss, {"gradient": missing}) == []
    both = slingshots(loss, {"gradient": coarse, "direction": missing})
    assert [s.confirmed_by for s in both] == [("gradient",)]
