"""How a run moved through its parameters, and where the slingshots were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from grokpredict.runs.curve import Curve, FloatArray, IntArray

#: Earlier records that a spike is compared with.
BEFORE = 12
#: A spike stands out by this factor, and by this many robust standard deviations.
FACTOR, DEVIATIONS = 2.0, 6.0


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a probe recorded, one entry a record; all arrays have shape (n_records,).

    Attributes
    ----------
    steps : ndarray of int64
        Optimiser steps made before the record.
    loss : ndarray
        The batch's loss, NaN where the loop did not tell it.
    weight_norm, grad_norm : ndarray
        Euclidean norms |theta_t| and |G_t| over all trainable parameters, before any clipping.
    update_norm : ndarray
        |theta_{t+1} - theta_t|, of the one step behind the record; NaN if it was not seen.
    cos_step, cos_start, cos_grad : ndarray
        Cosines of theta_t with the parameters of the record before, of theta_t with the first
        parameters, and of G_t with the gradient of the record before. NaN at the first record,
        after a resume, and where a norm is zero.
    clock : ndarray
        Sum of learning rate times weight decay over the steps before: decoupled weight decay
        alone shrinks the norm by exp(-clock).
    """

    steps: IntArray
    loss: FloatArray
    weight_norm: FloatArray
    grad_norm: FloatArray
    update_norm: FloatArray
    cos_step: FloatArray
    cos_start: FloatArray
    cos_grad: FloatArray
    clock: FloatArray

    def __post_init__(self) -> None:
        for each in fields(self):
            kind = np.int64 if each.name == "steps" else np.float64
            object.__setattr__(self, each.name, np.asarray(getattr(self, each.name), dtype=kind))

    def __len__(self) -> int:
        return int(self.steps.size)

    def curves(self) -> dict[str, Curve]:
        """Return the channels that a :class:`~grokpredict.runs.run.Run` has a name for."""
        told = np.isfinite(self.loss)
        channels = {
            "weight_norm": Curve(self.steps, self.weight_norm),
            "grad_norm": Curve(self.steps, self.grad_norm),
        }
        if told.any():
            channels["train_loss"] = Curve(self.steps[told], self.loss[told])
        return channels

    def slingshots(self) -> list[Slingshot]:
        """Return the spikes of the loss that gradient and direction confirm."""
        signs = {
            "gradient": Curve(self.steps, self.grad_norm),
            "direction": Curve(self.steps, 1.0 - self.cos_step),
        }
        return slingshots(Curve(self.steps, self.loss), signs)


@dataclass(frozen=True)
class Slingshot:
    """A spike of the loss that other channels share; Thilak et al. 2022, arXiv 2206.04817.

    Attributes
    ----------
    step : int
        Where the loss peaked.
    height : float
        The peak over the median of the records before it.
    confirmed_by : tuple of str
        Channels that spiked at the same time.
    """

    step: int
    height: float
    confirmed_by: tuple[str, ...]


def slingshots(loss: Curve, signs: Mapping[str, Curve]) -> list[Slingshot]:
    """Find where the loss spiked together with every channel that could tell.

    Parameters
    ----------
    loss : Curve
        The training loss.
    signs : mapping of str to Curve
        Positive channels that jump up in a slingshot: the gradient's norm, 1 - cosine of the
        direction, the change of the weight norm. Each may have a cadence of its own.

    Returns
    -------
    list of Slingshot
        A spike is at least twice the median of the 12 records before it, and above it by six robust
        standard deviations of the changes between those, all in logarithms. A channel that is not
        finite around the spike, or has no 12 records before it, neither confirms nor denies; a
        spike that nothing confirms is not returned.

    Examples
    --------
    >>> loss = Curve(np.arange(30), np.where(np.arange(30) == 20, 5.0, 1.0))
    >>> slingshots(loss, {"gradient": loss})
    [Slingshot(step=20, height=5.0, confirmed_by=('gradient',))]
    """
    levels = _levels(loss.values)
    found: list[Slingshot] = []
    for group in _groups(_spikes(loss.values, levels)):
        peak = group[int(np.argmax(loss.values[group]))]
        first, last = int(loss.steps[group[0]]), int(loss.steps[group[-1]])
        answers = {name: _spikes_between(curve, first, last) for name, curve in signs.items()}
        told = {name: answer for name, answer in answers.items() if answer is not None}
        if told and all(told.values()):
            height = float(loss.values[peak] / np.exp(levels[peak, 0]))
            found.append(Slingshot(int(loss.steps[peak]), height, tuple(told)))
    return found


def _levels(values: FloatArray) -> FloatArray:
    """Median of the logarithms of the records before each, and deviation of their changes: (n, 2).

    Of the changes, since a steady fall is no noise.
    """
    levels = np.full((values.size, 2), np.nan)
    if values.size <= BEFORE:
        return levels
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
    logs[~np.isfinite(logs)] = np.nan
    before = np.lib.stride_tricks.sliding_window_view(logs, BEFORE)[:-1]
    median = np.median(before, axis=1)  # NaN where anything before is missing
    levels[BEFORE:, 0] = median
    changes = np.diff(before, axis=1)
    apart = np.abs(changes - np.median(changes, axis=1, keepdims=True))
    levels[BEFORE:, 1] = 1.4826 * np.median(apart, axis=1)
    return levels


def _spikes(values: FloatArray, levels: FloatArray) -> FloatArray:
    """1 where a record is a spike, 0 where it is none, NaN where that cannot be told."""
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.log(values) - levels[:, 0]
    needed = np.maximum(np.log(FACTOR), DEVIATIONS * levels[:, 1])
    return np.where(np.isnan(above) | np.isnan(needed), np.nan, above >= needed)


def _groups(spikes: FloatArray) -> list[IntArray]:
    """Rows of spikes that follow each other with at most one record between."""
    rows = np.flatnonzero(spikes == 1)
    if not rows.size:
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) > 2) + 1)


def _spikes_between(curve: Curve, first: int, last: int) -> bool | None:
    """Whether a channel spiked within one of its records around these steps; None: no telling."""
    before = max(int(np.searchsorted(curve.steps, first, side="right")) - 2, 0)
    after = int(np.searchsorted(curve.steps, last)) + 2
    around = _spikes(curve.values, _levels(curve.values))[before:after]
    told = around[~np.isnan(around)]
    return bool(told.any()) if told.size else None


def stacked(rows: Sequence[Mapping[str, float]]) -> Trajectory:
    """Return records, each a mapping by the fields of :class:`Trajectory`, as arrays."""
    names = [each.name for each in fields(Trajectory)]
    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in names}
    return Trajectory(**{**columns, "steps": columns["steps"].astype(np.int64)})
