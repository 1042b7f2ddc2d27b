"""What the callback costs, beside Lightning's own callbacks, in one run.

    python benchmarks/bench_callback.py [--steps 2000] [--rounds 5] [--classifier FILE]

Every round fits an empty module once with each callback, in a changing order; a figure is the
median over the rounds. "in the hook" is measured by a wrapper around ``on_train_batch_end``, "of an
empty step" relates it to the step of a trainer without callbacks. The look is timed at each
horizon, that of the first fit of the process on its own. On a busy machine the fastest is the one
to read. Prints Markdown.
"""

from __future__ import annotations

import argparse
import logging
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning import __version__ as lightning_version
from pytorch_lightning.callbacks import EarlyStopping, ThroughputMonitor
from pytorch_lightning.loggers.logger import DummyLogger
from torch.utils.data import DataLoader, TensorDataset

from grokpredict.features.profile import looks_before
from grokpredict.live.lightning import GrokPredictor
from grokpredict.model.classifier import load_classifier

BUDGET = 1_000_000


class Empty(LightningModule):
    """One weight, and a loss that falls and oscillates."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        t = np.arange(steps + 1)
        noise = 1 + 0.03 * np.sin(t / 2) + 0.01 * np.random.default_rng(0).standard_normal(t.size)
        curve = torch.tensor((3 * np.exp(-t / 200) + 0.1) * noise, dtype=torch.float32)
        self.curve = list(curve.unbind())
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.place = 0

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.place += 1
        return self.weight * 0 + self.curve[self.place % len(self.curve)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class Logged(Empty):
    """Logs its loss, which EarlyStopping needs."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("loss", loss)
        return loss


class StoppingEachStep(EarlyStopping):
    """Lightning's early stopping, checked after every step."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if "loss" in trainer.callback_metrics:
            self._run_early_stopping_check(trainer)


class Item(Callback):
    """Reads the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *args: Any) -> None:
        self.losses.append(outputs["loss"].item())


class Clock(Callback):
    """Time of a whole step, between the starts of two batches."""

    def __init__(self) -> None:
        self.ticks: list[int] = []

    def on_train_batch_start(self, *args: Any) -> None:
        self.ticks.append(time.perf_counter_ns())


def timed(callback: Callback) -> list[int]:
    """Wrap the callback's hook; the list fills with nanoseconds, one a batch."""
    hook: Callable[..., None] = callback.on_train_batch_end
    spent: list[int] = []

    def wrapper(*args: Any) -> None:
        start = time.perf_counter_ns()
        hook(*args)
        spent.append(time.perf_counter_ns() - start)

    # Before the hook of the class, Python finds that of the instance.
    vars(callback)["on_train_batch_end"] = wrapper
    return spent


def one_fit(
    callback: Callback | None, module: LightningModule, steps: int, logger: Any
) -> tuple[float, list[int]]:
    """Return the median step in ns, and the time in the hook for each batch."""
    clock = Clock()
    spent = timed(callback) if callback is not None else []
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=logger,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[clock] if callback is None else [clock, callback],
    )
    trainer.fit(module, DataLoader(TensorDataset(torch.zeros(steps, 1)), batch_size=1))
    return statistics.median(np.diff(clock.ticks).tolist()), spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--classifier", default="default")
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("grokpredict").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    classifier = load_classifier(told.classifier)
    horizons = [
        horizon for horizon in looks_before(max(BUDGET, told.steps)) if horizon < told.steps
    ]
    steps = told.steps

    def predictor() -> GrokPredictor:
        return GrokPredictor(classifier, budget=max(BUDGET, steps), action="warn")

    def early() -> Callback:
        return StoppingEachStep("loss", patience=10**9, check_on_train_epoch_end=False)

    def throughput() -> Callback:
        return ThroughputMonitor(batch_size_fn=len)

    rows: dict[str, tuple[Callable[[], Callback | None], type[Empty], Any]] = {
        "no callback": (lambda: None, Empty, False),
        "GrokPredictor": (predictor, Empty, False),
        "`.item()` each step": (Item, Empty, False),
        "ThroughputMonitor": (throughput, Empty, DummyLogger()),
        "EarlyStopping each step": (early, Logged, False),
    }
    in_hook: dict[str, list[float]] = {name: [] for name in rows}
    empty: list[float] = []
    looks: dict[int, list[float]] = {horizon: [] for horizon in horizons}
    _, spent = one_fit(predictor(), Empty(steps), steps, False)
    first = spent[horizons[0]] / 1e6
    for _ in range(told.rounds):
        for name in random.sample(list(rows), len(rows)):
            make, module, logger = rows[name]
            step, spent = one_fit(make(), module(steps), steps, logger)
            if name == "no callback":
                empty.append(step)
                continue
            # An abort ends the watch: only before the first look is it certain to go on.
            in_hook[name].append(statistics.median(spent[10 : horizons[0] - 1]))
            if name == "GrokPredictor":
                for horizon in horizons:
                    looks[horizon].append(spent[horizon])  # it is taken one step later
    bare = timed_nothing()
    step = statistics.median(empty)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, Lightning {lightning_version}, {told.rounds} rounds of "
        f"{steps} steps\n"
    )
    print("| on_train_batch_end | in the hook, median | of an empty step | of GrokPredictor's |")
    print("| --- | --- | --- | --- |")
    own = statistics.median(in_hook["GrokPredictor"]) - bare
    for name, values in in_hook.items():
        if values:
            median = statistics.median(values) - bare
            print(
                f"| {name} | {median / 1e3:.2f} us | {100 * median / step:.2f} % | "
                f"{median / own:.1f} |"
            )
    print(f"\nAn empty step takes {step / 1e3:.0f} us.\n")
    print(f"The first look of the process took {first:.1f} ms.\n")
    print("| look after | fastest | median | slowest |")
    print("| --- | --- | --- | --- |")
    for horizon, values in looks.items():
        told_ms = (own / 1e6 for own in (min(values), statistics.median(values), max(values)))
        print(f"| {horizon} steps | " + " | ".join(f"{own:.1f} ms" for own in told_ms) + " |")


def timed_nothing() -> float:
    """Return what the wrapper measures around a hook that does nothing, in ns."""
    nothing = Callback()
    spent = timed(nothing)
    hook: Callable[..., None] = nothing.on_train_batch_end
    for _ in range(10_000):
        hook(None, None, {}, None, 0)  # it reads no trainer and no module
    return statistics.median(spent)


if __name__ == "__main__":
    main()
