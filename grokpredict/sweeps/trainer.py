"""Trains a stack of runs and records their curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

from grokpredict.runs.labels import LabelRule
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.evaluation import EVALUATE_EVERY, evaluation_steps
from grokpredict.sweeps.models import build, laid_out
from grokpredict.sweeps.optimisers import StackedOptimiser, schedule
from grokpredict.sweeps.tasks import Dataset

#: By generation: the training loss is kept at every step up to here, then like everything at
#: evaluations.
DENSE_STEPS = {1: 3200, 2: 1600}
#: At most so many samples of the training and of the validation set are evaluated.
EVALUATE_SAMPLES = 1024
#: By generation: a run whose last so many evaluations meet the threshold has generalised for good.
SETTLED = {1: 8, 2: 4}
#: Mean squared error at or under which a regression on targets of variance 1 has generalised.
REGRESSION_LEVEL = 0.05

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
EVALUATED = ("train_acc", "val_loss", "val_acc", "weight_norm", "grad_norm")


@dataclass(frozen=True, eq=False)
class Record:
    """One finished run of the generator.

    Attributes
    ----------
    config : RunConfig
        As it was asked for.
    train_size, n_parameters : int
        Samples trained on and trainable parameters.
    n_steps : int
        Updates made: the budget, or fewer when the run generalised for good or diverged.
    train_loss : ndarray, shape (n_dense,)
        At every step up to :data:`DENSE_STEPS` of them.
    steps : ndarray of int, shape (n_evaluations,)
        Where it was evaluated, the last time at ``n_steps``.
    evaluations : dict of str to ndarray, shape (n_evaluations,)
        ``train_loss`` and :data:`EVALUATED` at ``steps``, each before the update; NaN where there
        was none.
    """

    config: RunConfig
    train_size: int
    n_parameters: int
    n_steps: int
    train_loss: NDArray[np.float32]
    steps: NDArray[np.int64]
    evaluations: dict[str, NDArray[np.float32]]

    def hparams(self) -> dict[str, object]:
        """Return the configuration with what follows from it, ready for JSON."""
        derived: dict[str, object] = {
            "train_size": self.train_size,
            "n_parameters": self.n_parameters,
            "batch_size": self.config.batch_size or self.train_size,
            "full_batch": self.config.batch_size == 0,
        }
        return {**self.config.to_dict(), **derived}


def train_stack(
    configs: Sequence[RunConfig],
    data: Dataset,
    *,
    device: str = "cpu",
    max_steps: int | None = None,
) -> list[Record]:
    """Train runs of one structure side by side.

    Parameters
    ----------
    configs : sequence of RunConfig
        All of one :attr:`RunConfig.structure`; each may have its own budget.
    data : Dataset
        The task that they share.
    device : str
        Where to compute; everything random is drawn on the CPU.
    max_steps : int, optional
        Stop here although budgets go on.

    Returns
    -------
    list of Record
        In the order of ``configs``.

    Raises
    ------
    ValueError
        If the structures differ, or a budget is not a multiple of :data:`EVALUATE_EVERY`.
    """
    if len({c.structure for c in configs}) != 1:
        raise ValueError("runs of one stack must have one structure, these differ in it")
    order = sorted(range(len(configs)), key=lambda i: configs[i].optimizer)
    end = max(c.max_steps for c in configs)
    if max_steps is not None:
        end = min(end, max_steps)
    if any(steps % EVALUATE_EVERY for steps in (end, *(c.max_steps for c in configs))):
        raise ValueError(f"steps must be a multiple of {EVALUATE_EVERY}, the evaluation interval")
    with _denormals(flushed=configs[0].generation > 1):
        stack = _Stack([configs[i] for i in order], data, torch.device(device), end)
        stack.train_to(end)
    return [stack.records[order.index(i)] for i in range(len(configs))]


@contextmanager
def _denormals(*, flushed: bool) -> Iterator[None]:
    """Flush numbers below 1e-38 to zero meanwhile: a processor computes slowly with them."""
    if flushed:
        torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class _Stack:
    """The runs that still train, as tensors whose first axis is the run."""

    def __init__(
        self, configs: list[RunConfig], data: Dataset, device: torch.device, end: int
    ) -> None:
        data = laid_out(configs[0], data)
        self.configs, self.data, self.device = configs, data, device
        self.dtype = PRECISIONS[configs[0].precision]
        generation = configs[0].generation
        self.dense_steps, self.settled = DENSE_STEPS[generation], SETTLED[generation]
        self.grid = evaluation_steps(end, [c.max_steps for c in configs], thinning=generation > 1)
        self.positions = list(range(len(configs)))
        self.records: dict[int, Record] = {}
        self.model = build(configs[0], data)
        self.loss = configs[0].loss
        self.batch_size = configs[0].batch_size
        self.rule = LabelRule("val_loss", REGRESSION_LEVEL) if data.is_regression else LabelRule()
        self.passes = [torch.empty(0, dtype=torch.long) for _ in configs]
        self.generators = [torch.Generator().manual_seed(c.seed) for c in configs]
        self.inputs = self._tensor(data.inputs)
        self.targets = self._tensor(data.targets)
        self._split()
        self._initialise()
        # Written in place at each step and read once a chunk: no host-device copy in between.
        self.chunk = torch.empty(EVALUATE_EVERY, len(configs), device=device)
        self.dense: list[list[NDArray[np.float32]]] = [[] for _ in configs]
        self.evaluations: list[dict[str, list[float]]] = [
            {name: [] for name in ("train_loss", *EVALUATED)} for _ in configs
        ]

    def _tensor(self, values: NDArray[np.int64] | NDArray[np.float32]) -> Tensor:
        tensor = torch.as_tensor(values, device=self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def train_to(self, end: int) -> None:
        """Train all runs to their end, or to ``end`` where that comes first."""
        for start in range(0, end + 1, EVALUATE_EVERY):
            if start in self.grid:
                self.evaluate(start)
                self.retire(start, end)
            if not self.configs:
                break
            self.advance(start)

    def _split(self) -> None:
        """Draw each run's training set, its wrong labels and the samples that are evaluated."""
        total = len(self.inputs)
        train, val, noisy = [], [], []
        for config, generator in zip(self.configs, self.generators, strict=True):
            shuffled = torch.randperm(total, generator=generator)
            size = min(max(round(config.train_fraction * total), 1), total - 1)
            train.append(shuffled[:size])
            val.append(shuffled[size:][:EVALUATE_SAMPLES])
            noisy.append(self._noisy_targets(config, train[-1], generator))
        self.sizes = [len(t) for t in train]
        self.train, self.train_mask = (x.to(self.device) for x in _pad(train))
        self.val, self.val_mask = (x.to(self.device) for x in _pad(val))
        self.train_targets = torch.stack(noisy).to(self.device)

    def _noisy_targets(
        self, config: RunConfig, train: Tensor, generator: torch.Generator
    ) -> Tensor:
        targets = self._tensor(self.data.targets).cpu()
        if config.label_noise:
            wrong = train[: round(config.label_noise * len(train))]
            targets = targets.clone()
            targets[wrong] = torch.randint(self.data.n_outputs, (len(wrong),), generator=generator)
        return targets

    def _initialise(self) -> None:
        drawn = [
            torch.cat([p.draw(g).flatten() for p in self.model.initial.values()]) * c.init_scale
            for c, g in zip(self.configs, self.generators, strict=True)
        ]
        self.flat = torch.stack(drawn).to(self.device, self.dtype)
        shapes = {name: p.shape for name, p in self.model.initial.items()}
        self.optimiser = StackedOptimiser(self.configs, self.flat, shapes)
        self._view()

    def _view(self) -> None:
        """Lay the parameters as views over the flat tensor that the optimiser updates."""
        self.params: dict[str, Tensor] = {}
        offset = 0
        for name, initial in self.model.initial.items():
            size = math.prod(initial.shape)
            shape = (len(self.flat), *initial.shape)
            self.params[name] = self.flat[:, offset : offset + size].view(shape).requires_grad_()
            offset += size
        self.keep_rates = [1 - c.dropout for c in self.configs]
        self.drops = any(c.dropout for c in self.configs)
        clips = [c.clip_norm or math.inf for c in self.configs]
        self.clips = torch.tensor(clips, device=self.device).unsqueeze(1)
        self.clipped = any(c.clip_norm for c in self.configs)
        self.rows = torch.arange(len(self.flat), device=self.device).unsqueeze(1)
        if not self.batch_size:
            self.batch = self._samples(self.train), self._labels(self.train)

    def _samples(self, index: Tensor) -> Tensor:
        return self.inputs[index]

    def _labels(self, index: Tensor) -> Tensor:
        return self.train_targets[self.rows, index]

    def _dropout(self, x: Tensor) -> Tensor:
        """Zero units of each run by its own generator, so that a run alone drops the same ones."""
        if not self.drops:
            return x
        masks = torch.ones(x.shape)
        for row, generator in enumerate(self.generators):
            rate = self.keep_rates[row]
            if rate < 1:
                # Nothing is drawn for padding, or the run's later draws would depend on it.
                own = masks[row, : self.batch_size or self.sizes[row]]
                own.bernoulli_(rate, generator=generator).div_(rate)
        return x * masks.to(self.device)

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each sample, (n_runs, batch)."""
        if self.loss == "cross_entropy":
            each = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
            return each.view(targets.shape)
        if not self.data.is_regression:
            targets = F.one_hot(targets, self.data.n_outputs).to(outputs.dtype)
        return (outputs - targets).square().mean(dim=2)

    def advance(self, start: int) -> None:
        """Make the updates up to the next evaluation, from step ``start`` on."""
        n_steps = EVALUATE_EVERY
        rates = schedule(self.configs, torch.arange(start, start + n_steps, device=self.device))
        draws = self._draw_batches(n_steps) if self.batch_size else None
        for t in range(n_steps):
            if draws is not None:
                index = draws[:, t]
                inputs, targets = self._samples(index), self._labels(index)
            else:
                inputs, targets = self.batch
            outputs = self.model(self.params, inputs, self._dropout)
            each = self._losses(outputs, targets)
            share = self.train_mask if draws is None else 1.0 / self.batch_size
            losses = (each * share).sum(dim=1)
            grads = torch.autograd.grad(losses.sum(), list(self.params.values()))
            self.chunk[t] = losses.detach()
            flat = torch.cat([g.reshape(len(self.flat), -1) for g in grads], dim=1)
            self._update(flat, rates[t], start + t)
        self._keep_losses(start)

    def _update(self, grads: Tensor, rates: Tensor, step: int) -> None:
        first = step in self.grid
        if first or self.clipped:
            norms = grads.norm(dim=1, keepdim=True)
            if self.clipped:
                grads.mul_((self.clips / norms.clamp(min=1e-12)).clamp(max=1.0))
            if first:
                for row, norm in enumerate(norms.squeeze(1).tolist()):
                    self.evaluations[row]["grad_norm"].append(norm)
        with torch.no_grad():
            self.optimiser.step(self.flat, grads, rates, step)

    def _draw_batches(self, n_steps: int) -> Tensor:
        """Sample indices (n_runs, n_steps, batch): one shuffled pass after another."""
        draws = []
        for row, generator in enumerate(self.generators):
            need = n_steps * self.batch_size
            parts, have = [self.passes[row]], len(self.passes[row])
            while have < need:
                parts.append(torch.randperm(self.sizes[row], generator=generator))
                have += self.sizes[row]
            stream = torch.cat(parts)
            draws.append((stream[:need].view(n_steps, self.batch_size), stream[need:]))
        self.passes = [rest for _, rest in draws]
        drawn = torch.stack([d for d, _ in draws]).to(self.device)
        return self.train[self.rows.unsqueeze(2), drawn]

    def _keep_losses(self, start: int) -> None:
        losses = self.chunk.cpu().numpy()
        for row in range(len(self.configs)):
            if start in self.grid:
                self.evaluations[row]["train_loss"].append(float(losses[0, row]))
            if start < self.dense_steps:
                self.dense[row].append(losses[:, row].copy())

    @torch.no_grad()
    def evaluate(self, step: int) -> None:
        """Measure accuracies, validation loss and weight norm before the update of ``step``."""
        train = self.train[:, :EVALUATE_SAMPLES]
        train_mask = self.train_mask[:, :EVALUATE_SAMPLES]
        measured = {"weight_norm": self.flat.norm(dim=1)}
        outputs = self.model(self.params, self._samples(self.val), _no_dropout)
        losses = self._losses(outputs, self.targets[self.val])
        measured["val_loss"] = (losses * self.val_mask).sum(dim=1)
        if not self.data.is_regression:
            right = (outputs.argmax(dim=2) == self.targets[self.val]).float()
            measured["val_acc"] = (right * self.val_mask).sum(dim=1)
            outputs = self.model(self.params, self._samples(train), _no_dropout)
            right = (outputs.argmax(dim=2) == self._labels(train)).float()
            share = train_mask / train_mask.sum(dim=1, keepdim=True)
            measured["train_acc"] = (right * share).sum(dim=1)
        for name, values in measured.items():
            for row, value in enumerate(values.tolist()):
                self.evaluations[row][name].append(value)

    def retire(self, step: int, end: int) -> None:
        """Write out the runs that are over, and go on with the rest as a smaller stack."""
        kept = []
        for row, config in enumerate(self.configs):
            if step >= min(config.max_steps, end) or self._over(row):
                self._finish(row, step)
            else:
                kept.append(row)
        if len(kept) < len(self.configs):
            self._shrink(kept)

    def _over(self, row: int) -> bool:
        losses = self.evaluations[row]["train_loss"]
        if losses and not math.isfinite(losses[-1]):
            return True
        metric = self.evaluations[row][self.rule.metric][-self.settled :]
        return len(metric) == self.settled and bool(self.rule.met(np.array(metric)).all())

    def _finish(self, row: int, step: int) -> None:
        dense = self.dense[row]
        width = max(len(values) for values in self.evaluations[row].values())
        padded = {
            name: np.array(values + [math.nan] * (width - len(values)), dtype=np.float32)
            for name, values in self.evaluations[row].items()
        }
        self.records[self.positions[row]] = Record(
            self.configs[row],
            self.sizes[row],
            self.flat.shape[1],
            step,
            np.concatenate(dense) if dense else np.empty(0, dtype=np.float32),
            np.array(sorted(self.grid), dtype=np.int64)[:width],
            padded,
        )

    def _shrink(self, kept: list[int]) -> None:
        index = torch.tensor(kept, dtype=torch.long, device=self.device)
        for name in (
            "configs", "positions", "generators", "sizes", "dense", "evaluations", "passes",
        ):  # fmt: skip
            setattr(self, name, [getattr(self, name)[row] for row in kept])
        if not kept:
            return
        self.train, self.train_mask = _trim(self.train[index], self.train_mask[index])
        self.val, self.val_mask = _trim(self.val[index], self.val_mask[index])
        self.train_targets = self.train_targets[index]
        self.flat = self.flat[index]
        self.optimiser.keep(index, self.configs)
        self.chunk = self.chunk[:, : len(kept)].contiguous()
        self._view()


def _no_dropout(x: Tensor) -> Tensor:
    return x


def _pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack index rows of unequal length; the mask averages over each row's real entries."""
    width = max(len(r) for r in rows)
    index = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        index[i, : len(row)] = row
        mask[i, : len(row)] = 1.0 / len(row)
    return index, mask


def _trim(index: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop columns that are padding in every row."""
    width = int((mask > 0).sum(dim=1).max())
    return index[:, :width].contiguous(), mask[:, :width].contiguous()
