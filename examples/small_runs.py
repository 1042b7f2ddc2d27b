"""What examples about papers share: options, small tasks and networks, a plain training loop."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from grokpredict import Configuration, Curve, Run, TrajectoryProbe

Batch = tuple[Tensor, Tensor]


def parser() -> argparse.ArgumentParser:
    """The options of every such example; all of them train on one core."""
    torch.set_num_threads(1)
    options = argparse.ArgumentParser()
    options.add_argument("--folder", type=Path, default=Path())
    options.add_argument("--quick", action="store_true")
    return options


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square()


def addition(p: int, share: float, seed: int = 0) -> tuple[Batch, Batch]:
    """One-hot pairs and a + b mod p, split."""
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    inputs, targets = nn.functional.one_hot(pairs, p).flatten(1).float(), pairs.sum(dim=1) % p
    cut = round(share * len(pairs))
    return tuple((inputs[part], targets[part]) for part in (order[:cut], order[cut:]))


def network(sizes: list[int], activation: type[nn.Module], scale: float = 1.0, seed: int = 0):
    """Fully connected; ``scale`` multiplies PyTorch's usual initial weights."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    made = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made


@dataclass
class Trained:
    """A run and what was seen of it."""

    run: Run
    probe: TrajectoryProbe


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    classes = targets.argmax(dim=1) if targets.ndim == 2 else targets
    return float((outputs.argmax(dim=1) == classes).float().mean())


def train(
    module: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    train_batch: Batch,
    val_batch: Batch,
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    every: int = 20,
    snapshots: int = 16,
    name: str = "run",
) -> Trained:
    """Train with full batches under a probe; evaluate every so many steps."""
    probe = TrajectoryProbe(every=every, snapshots=snapshots).watch(module, optimizer)
    dense = np.empty(steps)
    rows = []
    for step in range(steps):
        outputs = module(train_batch[0])
        value = loss(outputs, train_batch[1])
        if step % every == 0:
            with torch.no_grad():
                held = module(val_batch[0])
                seen = accuracy(outputs, train_batch[1]), accuracy(held, val_batch[1])
                rows.append((step, *seen, float(loss(held, val_batch[1]))))
        optimizer.zero_grad()
        value.backward()
        probe.before_step(value)
        optimizer.step()
        probe.after_step()
        dense[step] = value.item()
    probe.finish()
    columns = np.array(rows).T
    at = columns[0].astype(int)
    channels = {
        "train_loss": Curve(np.arange(steps), dense),
        **{
            key: Curve(at, values)
            for key, values in zip(("train_acc", "val_acc", "val_loss"), columns[1:], strict=True)
        },
    }
    group = optimizer.param_groups[0]
    configuration = Configuration(
        type(optimizer).__name__.lower(), group["lr"], group.get("weight_decay", 0.0)
    )
    return Trained(Run(channels, configuration, max_steps=steps, name=name), probe)
