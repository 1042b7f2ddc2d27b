"""When a run memorised and when it generalised: the one definition that everything uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from grokpredict.runs.curve import Curve, FloatArray
from grokpredict.runs.run import Run

BoolArray = NDArray[np.bool_]

#: Where an accuracy of a run is above this, all its accuracies are in percent. The margin is for
#: shares of 1 that were rounded; guessing among a hundred classes gives 1 percent.
PERCENT_ABOVE = 1 + 1e-6


class Phase(Enum):
    """The four phases of Liu et al. 2022 (arXiv 2205.10343)."""

    COMPREHENSION = "comprehension"
    GROKKING = "grokking"
    MEMORISATION = "memorisation"
    CONFUSION = "confusion"


@dataclass(frozen=True)
class LabelRule:
    """What counts as having generalised.

    Parameters
    ----------
    metric : {"val_acc", "val_loss"}
        Accuracy must reach ``threshold`` from below, a loss must fall to it from above.
    threshold : float
        0.95 for an accuracy, on a scale from 0 to 1.
    hold : int
        Evaluations after the first one that must also meet the threshold.
    """

    metric: Literal["val_acc", "val_loss"] = "val_acc"
    threshold: float = 0.95
    hold: int = 2

    def __post_init__(self) -> None:
        if self.metric not in ("val_acc", "val_loss"):
            raise ValueError(f"the metric must be val_acc or val_loss, got {self.metric!r}")
        if self.hold < 0:
            raise ValueError(f"hold must not be negative, got {self.hold}")

    def met(self, values: FloatArray) -> BoolArray:
        """Say for each evaluation whether it meets the threshold; NaN does not."""
        met = values >= self.threshold if self.metric == "val_acc" else values <= self.threshold
        return np.asarray(met, dtype=np.bool_)

    def met_by(self, value: float) -> bool:
        """Whether one evaluation meets the threshold: such a run counts as generalised by then.

        A label asks for more, see :attr:`hold`; but whoever looks at a run as it trains knows
        nothing of later evaluations, and a good run must not be stopped.
        """
        return bool(self.met(np.array([value]))[0])


@dataclass(frozen=True)
class PhaseTimes:
    """Steps at which a run passed its phases (Notsawo et al. 2023); None where it did not.

    Attributes
    ----------
    t1 : int or None
        Training accuracy above zero.
    t2 : int or None
        Training accuracy 100 %, here 99.5 % so that one sample of a large set does not decide.
    t3 : int or None
        Validation accuracy above zero.
    t4 : int or None
        Generalised, by :class:`LabelRule`.
    """

    t1: int | None
    t2: int | None
    t3: int | None
    t4: int | None


@dataclass(frozen=True)
class Outcome:
    """What is known of a run's end.

    Attributes
    ----------
    t4 : int or None
        Step at which the run generalised.
    known_until : int
        Up to this step it is certain that the run had not generalised, if ``t4`` is None.
        A diverged run is known for ever.
    """

    t4: int | None
    known_until: int

    def by(self, budget: int) -> bool | None:
        """Whether the run generalised by ``budget``; None if it was censored before that."""
        if self.t4 is not None:
            return self.t4 <= budget
        return False if self.known_until >= budget else None


def rule_of(run: Run) -> LabelRule:
    """Return the rule that a run is labelled by when no other is given.

    Validation accuracy 0.95, or, for a run that says ``generalised_at_val_loss`` in its
    hyperparameters (a regression), a validation loss at or under that.

    Raises
    ------
    ValueError
        If that level is no number.
    """
    level = run.hparams.get("generalised_at_val_loss")
    if level is None:
        return LabelRule()
    try:
        threshold = float(level)
    except (TypeError, ValueError, OverflowError):
        threshold = math.nan
    if not math.isfinite(threshold):
        raise ValueError(
            f"generalised_at_val_loss must be a number, the configuration of {run.name} has "
            f"{str(level)[:40]!r}"
        )
    return LabelRule("val_loss", threshold)


NEVER_ENDS = np.iinfo(np.int64).max


def generalisation_step(curve: Curve, rule: LabelRule) -> int | None:
    """Return the first step at which the rule is met and then held, or None.

    Parameters
    ----------
    curve : Curve
        The validation metric that ``rule`` names.
    rule : LabelRule
        Threshold and number of later evaluations that must meet it too.

    Returns
    -------
    int or None
        A log that ends with the threshold met is enough if it was met by two evaluations or more.

    Examples
    --------
    >>> curve = Curve(np.arange(0, 60, 10), np.array([0.1, 0.96, 0.5, 0.96, 0.97, 0.99]))
    >>> generalisation_step(curve, LabelRule())
    30
    """
    met = rule.met(curve.values)
    width = rule.hold + 1
    if met.size >= width:
        held = np.lib.stride_tricks.sliding_window_view(met, width).all(axis=1)
        if held.any():
            return int(curve.steps[np.argmax(held)])
    at_end = _met_at_end(met)
    return int(curve.steps[met.size - at_end]) if at_end >= min(width, 2) else None


def _met_at_end(met: BoolArray) -> int:
    """Return by how many evaluations at the end the threshold is met."""
    missed = np.flatnonzero(~met)
    return met.size - (int(missed[-1]) + 1 if missed.size else 0)


def outcome(run: Run, rule: LabelRule | None = None) -> Outcome | None:
    """Say when the run generalised, or until when it is known not to have.

    Parameters
    ----------
    run : Run
        A finished or interrupted run.
    rule : LabelRule, optional
        :func:`rule_of` the run unless told otherwise.

    Returns
    -------
    Outcome or None
        None when the run has no such validation metric. An evaluation that meets the threshold
        too late to be confirmed ends what is known just before it.
    """
    rule = rule or rule_of(run)
    curve = run.channels.get(rule.metric)
    if curve is None or len(curve) == 0:
        return None
    t4 = generalisation_step(curve, rule)
    if t4 is not None:
        return Outcome(t4, t4)
    if run.diverged:
        return Outcome(None, NEVER_ENDS)
    met = rule.met(curve.values)
    open_end = _met_at_end(met)
    if open_end:
        return Outcome(None, int(curve.steps[met.size - open_end]) - 1)
    # Between two evaluations nothing is known, but the last one speaks for the steps up to the
    # next that was due: a run of 10 000 steps evaluated last at 9 999 was watched to its end.
    return Outcome(None, int(curve.steps[-1]) + curve_spacing(curve))


def curve_spacing(curve: Curve) -> int:
    """Return the median number of steps between two samples, 1 for a single one."""
    return int(np.median(np.diff(curve.steps))) if len(curve) > 1 else 1


def phase_times(run: Run, rule: LabelRule | None = None) -> PhaseTimes:
    """Return t1 to t4 of Notsawo et al. 2023 (arXiv 2306.13253), in optimiser steps."""
    result = outcome(run, rule)
    return PhaseTimes(
        t1=_first(run.channels.get("train_acc"), lambda acc: acc > 0),
        t2=_first(run.channels.get("train_acc"), lambda acc: acc >= 0.995),
        t3=_first(run.channels.get("val_acc"), lambda acc: acc > 0),
        t4=result.t4 if result else None,
    )


def phase(run: Run, budget: int, rule: LabelRule | None = None) -> Phase | None:
    """Return the run's phase at ``budget``; None if it is censored or nothing tells.

    Comprehension means t4 < 2 t2, grokking t4 >= 2 t2, memorisation t2 only, confusion neither.
    """
    result = outcome(run, rule)
    generalised = result.by(budget) if result else None
    if generalised is None or "train_acc" not in run.channels:
        return None
    times = phase_times(run, rule)
    memorised = times.t2 is not None and times.t2 <= budget
    if generalised:
        assert times.t4 is not None
        late = times.t2 is not None and times.t4 >= 2 * times.t2
        return Phase.GROKKING if late else Phase.COMPREHENSION
    return Phase.MEMORISATION if memorised else Phase.CONFUSION


def _first(curve: Curve | None, reached: Callable[[FloatArray], BoolArray]) -> int | None:
    if curve is None:
        return None
    hits = np.flatnonzero(reached(curve.values))
    return int(curve.steps[hits[0]]) if hits.size else None


#: Largest gamma that a law is fitted with: steeper is a step, and any gamma above is as good.
_STEEPEST = 100.0


@dataclass(frozen=True)
class GeneralisationLaw:
    """t4(r) = a r^-gamma + b, the steps to generalise over the training fraction r.

    Notsawo et al. 2023, arXiv 2306.13253.
    """

    a: float
    gamma: float
    b: float

    def __call__(self, fraction: float) -> float:
        """Return the steps that a run with this training fraction takes."""
        return float(self.a * fraction**-self.gamma + self.b)


def fit_generalisation_law(fractions: Sequence[float], t4: Sequence[float]) -> GeneralisationLaw:
    """Fit t4(r) = a r^-gamma + b to runs that generalised, by least squares on log t4.

    Parameters
    ----------
    fractions : sequence of float, shape (n_runs,)
        Share of all samples that was trained on, in (0, 1].
    t4 : sequence of float, shape (n_runs,)
        Steps to generalise, above zero.

    Raises
    ------
    ValueError
        If there are fewer than four different fractions, or a value out of its range.
    """
    from scipy.optimize import least_squares

    r = np.asarray(fractions, dtype=float)
    t = np.asarray(t4, dtype=float)
    if r.shape != t.shape:
        raise ValueError(f"fractions and t4 must be equally many, got {r.size} and {t.size}")
    if np.unique(r).size < 4:
        raise ValueError(
            "the law has three parameters and needs four different training fractions, "
            f"got {np.unique(r).size}"
        )
    if np.any((r <= 0) | (r > 1)) or np.any(t <= 0):
        raise ValueError("training fractions must lie in (0, 1] and t4 above 0")

    def residuals(p: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp(p[0] - np.exp(p[1]) * np.log(r), p[2]) - np.log(t))

    floor = np.log(t.min())
    bounds = ([-np.inf, -np.inf, -np.inf], [np.inf, np.log(_STEEPEST), np.inf])
    fits = [
        least_squares(residuals, [floor - 1.0, np.log(gamma), floor - 1.0], bounds=bounds)
        for gamma in (1.0, 3.0, 6.0)
    ]
    a, gamma, b = np.exp(min(fits, key=lambda fit: fit.cost).x)
    return GeneralisationLaw(float(a), float(gamma), float(b))
