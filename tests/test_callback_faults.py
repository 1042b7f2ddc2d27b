"""Whatever fails in the callback, the training goes on as if it were not there."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import LIGHTNING_WARNINGS, QUIET, batches
from look_models import looking

from grokpredict.live import configuration, metrics, monitor, rates, trainer
from grokpredict.live.lightning import (
    GrokPredictor,
    agreement,
    losses,
    namespaces,
    predictor,
    report,
    resuming,
    sampling,
    stopping,
    validation,
    watch,
)

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]
pytestmark.append(pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"))

#: Fits go on from a checkpoint shortly before the first look, which is taken after step 201.
START, STEPS, MAY_STOP = 192, 210, 205


class Small(pl.LightningModule):
    """A network whose weights depend on every batch, on dropout and on a stateful schedule."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        (x,) = batch
        return (self.layers(x + torch.randn_like(x)) - 1).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", 0.5)
        self.log("val_acc", 0.1)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def small_classifier() -> Any:
    """Aborts at its first look."""
    return looking("train_loss_level", [9.0])


def train(
    folder: Path, *callbacks: Any, resume: Path | None = None, steps: int = STEPS
) -> dict[str, Any]:
    """Fit, with all that calls a hook, and return the weights."""
    options = {**QUIET, "logger": pl.loggers.CSVLogger(folder), "log_every_n_steps": 10}
    torch.manual_seed(1)
    module = Small()
    fitted = pl.Trainer(
        callbacks=list(callbacks),
        max_steps=steps,
        min_steps=MAY_STOP,
        min_epochs=0,
        val_check_interval=5,
        **options,
    )
    again = {} if resume is None else {"ckpt_path": resume, **WEIGHTS_ONLY}
    fitted.fit(module, batches(10), batches(1), **again)
    assert fitted.state.finished
    fitted.save_checkpoint(folder / "end.ckpt")
    return {"steps": fitted.global_step, **module.state_dict()}


HELPERS = (
    losses.LossBuffer,
    report.Report,
    sampling.Samples,
    stopping.Stop,
    validation.Validation,
    watch.Watch,
)
MODULES = (
    agreement,
    configuration,
    losses,
    metrics,
    monitor,
    namespaces,
    predictor,
    rates,
    resuming,
    sampling,
    stopping,
    trainer,
    validation,
    watch,
)


def fault_points() -> Iterator[tuple[Any, str]]:
    """Every method and function of ours that a fit may call."""
    for kind in (*HELPERS, monitor.GrokMonitor):
        for name, value in vars(kind).items():
            if inspect.isfunction(value) or isinstance(value, property):
                yield kind, name
    own = ("_act", "_begin", "_ending", "_fail", "_read_configuration", "_reset", "_restore")
    for name in (*own, "_write_record"):
        yield GrokPredictor, name
    for module in MODULES:
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__.startswith("grokpredict.live"):
                yield module, name


#: What is called by the user, or when a module is imported or an object made.
NOT_IN_A_FIT = {"callback_bases", "guarded", "not_recognised"}
POINTS = [
    pytest.param(owner, name, id=f"{owner.__name__.rpartition('.')[2]}.{name}")
    for owner, name in fault_points()
    if name not in NOT_IN_A_FIT
]


class OddError(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> dict[str, Any]:
    """What a fit without the callback makes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the callback of the checkpoint is not there
        return train(tmp_path_factory.mktemp("alone"), resume=checkpoint)


def test_the_fits_in_here_look_and_stop(
    alone: dict[str, Any], checkpoint: Path, tmp_path: Path
) -> None:
    """Else nothing of ours would be called."""
    watched = GrokPredictor(small_classifier(), action="warn")
    same(train(tmp_path, watched, resume=checkpoint), alone)
    assert [own.action for own in watched.verdicts] == ["abort"]
    assert (tmp_path / "lightning_logs/version_0/grokpredict.json").exists()
    watched = GrokPredictor(small_classifier())
    assert train(tmp_path / "again", watched, resume=checkpoint)["steps"] == MAY_STOP
    assert watched.stopped_step == MAY_STOP


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by a fit under watch, before its first look."""
    folder = tmp_path_factory.mktemp("checkpoint")

    class Early(pl.Callback):
        def on_train_batch_end(self, fitted: Any, *args: Any) -> None:
            if fitted.global_step == START:
                fitted.save_checkpoint(folder / "early.ckpt")

    train(
        folder,
        GrokPredictor(small_classifier(), budget=400, action="warn"),
        Early(),
        steps=START + 1,
    )
    return folder / "early.ckpt"


@pytest.mark.parametrize("error", [MemoryError, OddError])
@pytest.mark.parametrize(("owner", "name"), POINTS)
def test_no_fault_ends_or_changes_a_training(
    owner: Any,
    name: str,
    error: type[Exception],
    alone: dict[str, Any],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise error

    watched = GrokPredictor(small_classifier(), action="warn")
    fault: Any = property(broken) if isinstance(vars(owner)[name], property) else broken
    monkeypatch.setattr(owner, name, fault)
    same(train(tmp_path, watched, resume=checkpoint), alone)
    if error is OddError:  # a stop waits
        monkeypatch.undo()
        watched = GrokPredictor(small_classifier())
        monkeypatch.setattr(owner, name, fault)
        assert train(tmp_path / "again", watched, resume=checkpoint)["steps"] in (MAY_STOP, STEPS)


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    assert first["steps"] == second["steps"]
    for name, value in first.items():
        if name != "steps":
            assert torch.equal(value, second[name]), name


def test_there_are_as_many_fault_points_as_there_is_code() -> None:
    assert len(POINTS) > 80
    hooks = [name for name in vars(pl.Callback) if name.startswith(("on_", "setup", "teardown"))]
    for name in hooks:
        ours = vars(GrokPredictor).get(name)
        assert ours is None or hasattr(ours, "__wrapped__"), f"{name} is not guarded"


class Raises(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OddError


def raising_filter(record: logging.LogRecord) -> bool:
    raise OddError


@pytest.mark.parametrize("way", ["handler", "filter", "warnings"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_log_that_fails_ends_nothing(
    way: str,
    fails: bool,
    alone: dict[str, Any],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = logging.getLogger(f"{pl.__name__}.grokpredict")
    if fails:
        monkeypatch.delattr(watch.Watch, "look")
    if way == "warnings":
        monkeypatch.setattr(log, "log", lambda *args, **options: warnings.warn("x", stacklevel=1))
    elif way == "handler":
        monkeypatch.setattr(log, "handlers", [Raises()])
    else:
        monkeypatch.setattr(log, "filters", [raising_filter])
    watched = GrokPredictor(small_classifier(), action="warn")
    same(train(tmp_path, watched, resume=checkpoint), alone)
    assert bool(watched.verdicts) is not fails


@pytest.mark.parametrize(
    "change",
    [
        lambda state: [1, 2],
        lambda state: "much",
        lambda state: {"monitor": 3},
        lambda state: {**state, "step": "much"},
        lambda state: {**state, "monitor": {**state["monitor"], "recording": None}},
        lambda state: {**state, "monitor": {**state["monitor"], "version": 1}},
        lambda state: {**state, "stopping_reason": "of another version"},
        lambda state: {**state, "monitor": {**state["monitor"], "verdicts": [{"colour": 3}]}},
    ],
)
def test_a_damaged_checkpoint_ends_nothing(
    change: Callable[[Any], Any], checkpoint: Path, tmp_path: Path, caplog: Any
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    ((key, state),) = content["callbacks"].items()
    content["callbacks"][key] = change(state)
    torch.save(content, tmp_path / "damaged.ckpt")
    watched = GrokPredictor(small_classifier())
    done = train(tmp_path, watched, resume=tmp_path / "damaged.ckpt")
    assert done["steps"] == STEPS
    assert caplog.text.count("leaves this run alone") == 1


def test_an_interrupt_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.Watch, "look", interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, GrokPredictor(small_classifier()), steps=202)
