"""Trains a stack of runs and records their curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.evaluation import EVALUATE_EVERY, evaluation_steps
from grokpredict.sweeps.models import build, laid_out
from grokpredict.sweeps.optimisers import StackedOptimiser, schedule
from grokpredict.sweeps.record import DENSE_STEPS, SETTLED, Curves, Record, label_rule
from grokpredict.sweeps.split import Split
from grokpredict.sweeps.tasks import Dataset

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


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
        self.configs, self.device = configs, device
        self.dtype = PRECISIONS[configs[0].precision]
        generation = configs[0].generation
        self.dense_steps, self.settled = DENSE_STEPS[generation], SETTLED[generation]
        budgets = [c.max_steps for c in configs]
        self.grid = evaluation_steps(end, budgets, thinning=generation > 1)
        self.positions = list(range(len(configs)))
        self.records: dict[int, Record] = {}
        self.model = build(configs[0], data)
        self.loss, self.batch_size = configs[0].loss, configs[0].batch_size
        self.is_regression, self.n_outputs = data.is_regression, data.n_outputs
        self.rule = label_rule(regression=data.is_regression)
        self.generators = [torch.Generator().manual_seed(c.seed) for c in configs]
        self.split = Split(configs, data, self.generators, device, self.dtype)
        self._initialise()
        # Written in place at each step and read once a chunk: no host-device copy in between.
        self.chunk = torch.empty(EVALUATE_EVERY, len(configs), device=device)
        self.curves = [Curves() for _ in configs]

    def train_to(self, end: int) -> None:
        """Train all runs to their end, or to ``end`` where that comes first."""
        for start in range(0, end + 1, EVALUATE_EVERY):
            if start in self.grid:
                self.evaluate(start)
                self.retire(start, end)
            if not self.configs:
                break
            self.advance(start)

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
        if not self.batch_size:
            self.batch = self.split.samples(self.split.train)

    def _dropout(self, x: Tensor) -> Tensor:
        """Zero units of each run by its own generator, so that a run alone drops the same ones."""
        if not self.drops:
            return x
        masks = torch.ones(x.shape)
        for row, generator in enumerate(self.generators):
            rate = self.keep_rates[row]
            if rate < 1:
                # Nothing is drawn for padding, or the run's later draws would depend on it.
                units = masks[row, : self.batch_size or self.split.sizes[row]]
                units.bernoulli_(rate, generator=generator).div_(rate)
        return x * masks.to(self.device)

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each sample, (n_runs, batch)."""
        if self.loss == "cross_entropy":
            losses = functional.cross_entropy(
                outputs.flatten(0, 1), targets.flatten(), reduction="none"
            )
            return losses.view(targets.shape)
        if not self.is_regression:
            targets = functional.one_hot(targets, self.n_outputs).to(outputs.dtype)
        return (outputs - targets).square().mean(dim=2)

    def advance(self, start: int) -> None:
        """Make the updates up to the next evaluation, from step ``start`` on."""
        n_steps = EVALUATE_EVERY
        rates = schedule(self.configs, torch.arange(start, start + n_steps, device=self.device))
        draws = self.split.draw_batches(n_steps, self.generators) if self.batch_size else None
        share = self.split.train_mask if draws is None else 1.0 / self.batch_size
        for t in range(n_steps):
            inputs, targets = self.batch if draws is None else self.split.samples(draws[:, t])
            outputs = self.model(self.params, inputs, self._dropout)
            losses = (self._losses(outputs, targets) * share).sum(dim=1)
            grads = torch.autograd.grad(losses.sum(), list(self.params.values()))
            self.chunk[t] = losses.detach()
            flat = torch.cat([g.reshape(len(self.flat), -1) for g in grads], dim=1)
            self._update(flat, rates[t], start + t)
        self._keep_losses(start)

    def _update(self, grads: Tensor, rates: Tensor, step: int) -> None:
        evaluated = step in self.grid
        if evaluated or self.clipped:
            norms = grads.norm(dim=1, keepdim=True)
            if self.clipped:
                grads.mul_((self.clips / norms.clamp(min=1e-12)).clamp(max=1.0))
            if evaluated:
                for row, norm in enumerate(norms.squeeze(1).tolist()):
                    self.curves[row].evaluations["grad_norm"].append(norm)
        with torch.no_grad():
            self.optimiser.step(self.flat, grads, rates, step)

    def _keep_losses(self, start: int) -> None:
        losses = self.chunk.cpu().numpy()
        for row, curves in enumerate(self.curves):
            if start in self.grid:
                curves.evaluations["train_loss"].append(float(losses[0, row]))
            if start < self.dense_steps:
                curves.dense.append(losses[:, row].copy())

    @torch.no_grad()
    def evaluate(self, step: int) -> None:
        """Measure accuracies, validation loss and weight norm before the update of ``step``."""
        split = self.split
        measured = {"weight_norm": self.flat.norm(dim=1)}
        outputs = self.model(self.params, split.inputs[split.val], _no_dropout)
        losses = self._losses(outputs, split.targets[split.val])
        measured["val_loss"] = (losses * split.val_mask).sum(dim=1)
        if not self.is_regression:
            right = (outputs.argmax(dim=2) == split.targets[split.val]).float()
            measured["val_acc"] = (right * split.val_mask).sum(dim=1)
            index, share = split.evaluated()
            inputs, labels = split.samples(index)
            outputs = self.model(self.params, inputs, _no_dropout)
            right = (outputs.argmax(dim=2) == labels).float()
            measured["train_acc"] = (right * share).sum(dim=1)
        for name, values in measured.items():
            for curves, value in zip(self.curves, values.tolist(), strict=True):
                curves.evaluations[name].append(value)

    def retire(self, step: int, end: int) -> None:
        """Write out the runs that are over, and go on with the rest as a smaller stack."""
        kept = []
        for row, (config, curves) in enumerate(zip(self.configs, self.curves, strict=True)):
            if step < min(config.max_steps, end) and not curves.is_decided(self.rule, self.settled):
                kept.append(row)
                continue
            self.records[self.positions[row]] = curves.record(
                config,
                train_size=self.split.sizes[row],
                n_parameters=self.flat.shape[1],
                n_steps=step,
                grid=sorted(self.grid),
            )
        if len(kept) < len(self.configs):
            self._shrink(kept)

    def _shrink(self, kept: list[int]) -> None:
        for name in ("configs", "positions", "generators", "curves"):
            setattr(self, name, [getattr(self, name)[row] for row in kept])
        if not kept:
            return
        index = torch.tensor(kept, dtype=torch.long, device=self.device)
        self.split.keep(kept)
        self.flat = self.flat[index]
        self.optimiser.keep(index, self.configs)
        self.chunk = self.chunk[:, : len(kept)].contiguous()
        self._view()


def _no_dropout(x: Tensor) -> Tensor:
    return x
