"""A training under watch is the training without: the same weights, bit by bit, and random numbers.

The user's code is called as often as without the callback.
"""

from __future__ import annotations

import collections
import gc
import random
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import GOOD, LIGHTNING_WARNINGS, QUIET, Follows, fit
from look_models import looking
from short_runs import BUDGET
from torch.utils.data import DataLoader, Dataset

from grokpredict.live.lightning import GrokPredictor
from grokpredict.model.classifier import GrokClassifier

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]
pytestmark.append(pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"))

STEPS = 205


class Noisy(Dataset[torch.Tensor]):
    """Draws a random number whenever anything is asked of it."""

    def __len__(self) -> int:
        random.random()
        np.random.random()  # noqa: NPY002 - the global generator is what is watched
        torch.rand(1)
        return 32

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(4)


class Net(pl.LightningModule):
    """Dropout, noise, and a schedule that draws a random number at every call."""

    def __init__(self, *, manual: bool = False, key: str = "loss") -> None:
        super().__init__()
        self.automatic_optimization = not manual
        self.key = key
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 16), torch.nn.GELU(), torch.nn.Dropout(0.3), torch.nn.Linear(16, 1)
        )

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> Any:
        loss = (self.layers(batch).squeeze() - batch.sum(-1)).square().mean()
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            self.manual_backward(loss)
            if batch_idx % 2:
                optimizer.step()
                optimizer.zero_grad()
                self.lr_schedulers().step()
        return {"loss": loss, "parts": [loss, loss], "task": loss * torch.rand(3)}

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val_loss", self.layers(batch).mean())
        self.log("val_acc", torch.rand(()) / 2)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2, weight_decay=0.1)
        calls = collections.Counter()

        def stateful(step: int) -> float:
            calls["asked"] += 1
            return float(torch.rand(())) / calls["asked"] ** 0.1

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, stateful)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def trained(folder: Path, watched: bool, module: dict[str, Any], **options: Any) -> list[Any]:
    """Return weights, step and the state of every generator after a fit."""
    resume, tune = options.pop("resume", False), options.pop("tune", False)
    pl.seed_everything(3, verbose=False)
    classifier = looking("train_loss_level", [-9.0], scores=np.full(70, 1e-9))
    net = Net(**module)
    options = {**QUIET, "default_root_dir": folder, **options}
    options = {"max_steps": STEPS, "val_check_interval": 8, **options}
    loaders = [DataLoader(Noisy(), batch_size=4, shuffle=True), DataLoader(Noisy(), batch_size=8)]

    def one_fit(**more: Any) -> pl.Trainer:
        predictor = GrokPredictor(classifier, budget=2000, loss_key=net.key)
        trainer = pl.Trainer(callbacks=[predictor] if watched else [], **options)
        if tune:
            pl.tuner.Tuner(trainer).lr_find(
                net, *loaders, num_training=20, update_attr=False, early_stop_threshold=None
            )
        trainer.fit(net, *loaders, **more)
        quick = bool(options.get("fast_dev_run"))
        if watched:
            assert bool(predictor.verdicts) is not quick
        return trainer

    trainer = one_fit()
    if resume:
        trainer.save_checkpoint(folder / "half.ckpt")
        options["max_steps"] = 2 * STEPS
        trainer = one_fit(ckpt_path=folder / "half.ckpt", **WEIGHTS_ONLY)
    state = np.random.get_state()  # noqa: NPY002 - likewise
    drawn = [random.getstate(), state[1].tolist(), torch.get_rng_state().tolist()]
    return [trainer.global_step, *drawn, *(value.tolist() for value in net.state_dict().values())]


@pytest.mark.filterwarnings("ignore:Failed to compute suggestion")
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize(
    ("module", "options"),
    [
        ({}, {}),
        ({}, {"accumulate_grad_batches": 2}),
        ({}, {"gradient_clip_val": 0.5}),
        ({}, {"precision": "bf16-mixed"}),
        ({"manual": True}, {}),
        ({"key": "task"}, {}),
        ({"key": "parts"}, {}),
        ({}, {"resume": True}),
        ({}, {"fast_dev_run": 7}),
        ({}, {"tune": True}),
        ({}, {"max_steps": -1, "max_epochs": 26, "check_val_every_n_epoch": 2}),
    ],
    ids=str,
)
def test_weights_and_random_numbers_are_bit_identical(
    module: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    without = trained(tmp_path / "without", False, module, **dict(options))
    assert trained(tmp_path / "with", True, module, **dict(options)) == without


def test_the_comparison_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One random number that we draw is another training."""
    monkeypatch.setattr("grokpredict.live.lightning.watch.Watch.let_go", lambda *_: torch.rand(1))
    assert trained(tmp_path / "with", True, {}) != trained(tmp_path / "without", False, {})


# --------------------------------------------------------------------- the user's code


#: How often the user's objects were asked, by name.
CALLS: collections.Counter[str] = collections.Counter()


def counted(name: str, value: Any) -> property:
    def get(self: Any) -> Any:
        CALLS[name] += 1
        return value(self)

    return property(get)


class CountedNet(Follows):
    """Everything that it has and that may be code is code, and counts."""

    def parameters(self, *args: Any) -> Any:
        CALLS["parameters"] += 1
        return super().parameters(*args)

    def named_parameters(self, *args: Any, **options: Any) -> Any:
        CALLS["named_parameters"] += 1
        return super().named_parameters(*args, **options)

    def configure_optimizers(self) -> Any:
        class Optimizer(torch.optim.SGD):
            defaults_of = counted("defaults", lambda self: {})

            def __getattr__(self, name: str) -> Any:
                CALLS[f"optimizer.{name}"] += 1
                raise AttributeError(name)

        optimizer = Optimizer([self.weight], lr=1e-3)

        def rate(step: int) -> float:
            CALLS["lr_lambda"] += 1
            return 1.0

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class CountedData(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        CALLS["__len__"] += 1
        return BUDGET

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.zeros(1)

    def __getattr__(self, name: str) -> Any:
        CALLS[f"dataset.{name}"] += 1
        raise AttributeError(name)


class CountedLoader:
    dataset = counted("loader.dataset", lambda self: range(BUDGET))
    batch_size = counted("loader.batch_size", lambda self: 1)
    batch_sampler = counted("loader.batch_sampler", lambda self: None)

    def __iter__(self) -> Any:
        return iter(torch.zeros(BUDGET, 1))

    def __len__(self) -> int:
        CALLS["len(loader)"] += 1
        return BUDGET


@pytest.mark.parametrize("loader", [lambda: DataLoader(CountedData()), CountedLoader])
def test_user_code_is_not_called_once_more(
    classifier: GrokClassifier, loader: Callable[[], Any]
) -> None:
    counts = []
    for callbacks in ([], [GrokPredictor(classifier)]):
        CALLS.clear()
        trainer = pl.Trainer(callbacks=callbacks, max_steps=300, **QUIET)
        trainer.fit(CountedNet(GOOD), loader())
        counts.append(dict(CALLS))
    assert [own.horizon for own in callbacks[0].verdicts] == [200, 282]
    assert counts[0] == counts[1]


def test_the_size_of_a_data_set_that_is_not_asked(classifier: GrokClassifier) -> None:
    """From the batches that Lightning counted, to within a batch."""
    predictor = GrokPredictor(classifier)
    trainer = pl.Trainer(callbacks=[predictor], max_steps=6, **QUIET)
    trainer.fit(Follows(GOOD), DataLoader(CountedData(), batch_size=3))
    configuration = predictor._configuration
    assert (configuration.batch_size, configuration.train_size) == (3, 402)


@pytest.mark.parametrize("kind", [list, tuple, lambda items: {"a": items[0], "b": items[1]}])
@pytest.mark.parametrize("manual", [False, True])
def test_no_graph_is_kept_alive(
    classifier: GrokClassifier, kind: Callable[[Any], Any], manual: bool
) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    class Returns(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            large = self.weight * torch.ones(1000)
            kept.append(weakref.ref(large))
            loss = self.losses[0] + 0 * large.sum()
            if manual:
                self.manual_backward(loss, retain_graph=True)
                self.optimizers().step()
            return {"loss": loss, "task": kind([large.sum(), large])}

    class Weighs(pl.Callback):
        def on_train_end(self, *args: Any) -> None:
            gc.collect()
            assert sum(own() is not None for own in kept) <= 1

    module = Returns(GOOD)
    module.automatic_optimization = not manual
    predictor = GrokPredictor(classifier, loss_key="task")
    fit(module, predictor, Weighs(), max_steps=210)
    assert [own.action for own in predictor.verdicts] == ["continue"]
    assert "no 'task'" in predictor.verdicts[0].reason
