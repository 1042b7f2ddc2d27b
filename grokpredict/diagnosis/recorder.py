"""Records the trajectory of a run while it trains; knows no framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from grokpredict.diagnosis.landscape import flatten, trainable_parameters
from grokpredict.diagnosis.snapshots import Snapshot, take_snapshot
from grokpredict.diagnosis.trajectory import Trajectory, stacked

#: Columns of a record that are computed where the parameters are.
ON_DEVICE = ("loss", "weight_norm", "grad_norm", "cos_step", "cos_start", "cos_grad")


class Recorder:
    """Reads parameters and gradients of one network, every so many steps.

    Parameters
    ----------
    module : nn.Module
        Only read.
    optimizer : Optimizer
        Only read.
    every : int
        Optimiser steps between two records.
    most_snapshots : int
        Snapshots to keep: when there are more, every second is dropped.

    Notes
    -----
    A record copies parameters and gradients once and makes six reductions over them; nothing is
    copied from the device. It keeps three vectors: the first parameters, and the latest record's
    parameters and gradient.
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, every: int, most_snapshots: int
    ) -> None:
        self.module, self.optimizer = module, optimizer
        self.every, self.most_snapshots = every, most_snapshots
        self.parameters = list(trainable_parameters(module).values())
        if any(type(p.data) is not Tensor for p in self.parameters):  # DTensor is a subclass
            raise ValueError("parameters that are sharded over processes cannot be followed")
        self.step = 0
        self.clock = 0.0
        self.snapshots: list[Snapshot] = []
        self._apart = 1  # records between two snapshots
        self._rows: list[dict[str, float]] = []
        self._tensors: list[Tensor] = []
        self._updates: dict[int, Tensor] = {}
        self._first: Tensor | None = None
        self._last: Tensor | None = None
        self._gradient: Tensor | None = None
        self._resumed = False

    @property
    def due(self) -> bool:
        """Whether the step that comes is recorded."""
        return self.step % self.every == 0

    @torch.no_grad()
    def before_step(self, loss: Any = None) -> Tensor | None:
        """Record, if it is time: gradients are there, parameters are not updated yet.

        Returns
        -------
        Tensor or None
            The record's columns :data:`ON_DEVICE`.
        """
        record = self._record(loss) if self.due else None
        self.clock += _decay(self.optimizer.param_groups)
        self.step += 1
        return record

    @torch.no_grad()
    def after_step(self) -> None:
        """Measure the update, if the step before it was recorded."""
        if self._last is None or (self.step - 1) % self.every:
            return
        update = flatten(self.parameters).sub_(self._last)
        self._updates[len(self._rows) - 1] = update.norm()
        if self.snapshots and self.snapshots[-1].step == self.step - 1:
            self.snapshots[-1] = replace(self.snapshots[-1], update=update.cpu())

    def take_snapshot(self) -> None:
        """Keep the parameters of now, unless the latest snapshot has them."""
        if not self.snapshots or self.snapshots[-1].step < self.step:
            self.snapshots.append(take_snapshot(self.module, self.optimizer, self.step))

    def trajectory(self) -> Trajectory:
        """Return the records as arrays; this is where they are copied from the device."""
        values = torch.stack(self._tensors).double().cpu().tolist() if self._tensors else []
        offset = len(self._rows) - len(values)
        for row, columns in zip(self._rows[offset:], values, strict=True):
            row.update(zip(ON_DEVICE, columns, strict=True))
        for index, norm in self._updates.items():
            self._rows[index]["update_norm"] = float(norm)
        self._tensors, self._updates = [], {}
        return stacked(self._rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the records, without parameters, as plain Python objects."""
        self.trajectory()
        return {"step": self.step, "clock": self.clock, "records": [dict(r) for r in self._rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with records; cosines with what came before are missing from here on."""
        self.step, self.clock = int(state["step"]), float(state["clock"])
        self._rows = [dict(row) for row in state["records"]]
        self._tensors, self._updates = [], {}
        self._resumed = self.step > 0

    def _record(self, loss: Any) -> Tensor:
        theta = flatten(self.parameters)
        gradient = flatten(
            torch.zeros_like(p) if p.grad is None else p.grad.to_dense() for p in self.parameters
        )
        missing = theta.new_tensor(torch.nan)
        norms = theta.norm(), gradient.norm()
        columns = [
            missing if loss is None else torch.as_tensor(loss).detach().to(theta).mean(),
            *norms,
            missing if self._last is None else _cosine(theta, self._last),
            missing if self._first is None else _cosine(theta, self._first),
            missing if self._gradient is None else _cosine(gradient, self._gradient),
        ]
        record = torch.stack(columns)
        if self._first is None and not self._resumed:
            self._first = theta
        self._last, self._gradient = theta, gradient
        self._rows.append({"steps": self.step, "clock": self.clock, "update_norm": torch.nan})
        self._tensors.append(record)
        if self.most_snapshots:
            self._keep_snapshot(len(self._rows) - 1)
        return record

    def _keep_snapshot(self, record: int) -> None:
        if record % self._apart:
            return
        if len(self.snapshots) == self.most_snapshots:
            self.snapshots = self.snapshots[::2]
            self._apart *= 2
            if record % self._apart:
                return
        self.take_snapshot()


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    cosine: Tensor = one.dot(other) / (one.norm() * other.norm())  # 0 / 0 is NaN: no direction
    return cosine


def _decay(groups: Sequence[dict[str, Any]]) -> float:
    """Learning rate times weight decay, of the group that decays the most parameters."""
    sizes = [
        (sum(p.numel() for p in group["params"]), float(group.get("lr") or 0.0), decay)
        for group in groups
        if (decay := float(group.get("weight_decay") or 0.0)) > 0
    ]
    if not sizes:
        return 0.0
    _, rate, decay = max(sizes)
    return rate * decay
