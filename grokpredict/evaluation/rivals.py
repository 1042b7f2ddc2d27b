"""Rules that people use without a classifier, replayed on the same runs.

Those that a library prunes trials by are in :mod:`grokpredict.evaluation.pruners`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from grokpredict.evaluation.accounting import NEVER, Finished, Rule, RuleUnavailableError
from grokpredict.features.conditioning import SignalSettings, condition
from grokpredict.features.signal import MIN_SAMPLES, hjorth
from grokpredict.runs.curve import FloatArray, IntArray, serves
from grokpredict.runs.labels import fit_generalisation_law
from grokpredict.runs.run import Run, window
from grokpredict.training.patience import PATIENCES, stops_of_patience

#: Steps beyond the law of Notsawo et al. 2023; 1 000 is theirs.
EXTRA_STEPS = (1_000, 2_000, 4_000, 8_000, 16_000)

#: Steps of which Notsawo et al. 2023 read the oscillation.
ACTIVITY_STEPS = 400

#: Hyperparameters that name the share of all samples that is trained on.
FRACTION_KEYS = ("train_fraction", "training_fraction", "train_frac", "frac_train", "train_pct")


def early_stopping(done: Finished, metric: Literal["val_acc", "val_loss"]) -> Rule:
    """Return Lightning's ``EarlyStopping`` on a validation metric, for every patience.

    Parameters
    ----------
    done : Finished
        Runs without the metric are left alone.
    metric : {"val_acc", "val_loss"}
        To be maximised or minimised.

    Notes
    -----
    The rule of ``EarlyStopping`` with its defaults: an evaluation that does not beat the best so
    far counts, one that does sets the count back to 0; the run is stopped when the count reaches
    the patience, or the metric is not finite.
    """
    stops = np.full((PATIENCES.size, len(done)), NEVER)
    for i, run in enumerate(done.runs.runs):
        curve = run.channels.get(metric)
        if curve is not None and len(curve):
            stops[:, i] = stops_of_patience(curve, PATIENCES, maximise=metric == "val_acc")
    settings = tuple(f"patience {patience}" for patience in PATIENCES)
    return Rule(f"EarlyStopping({metric})", settings, stops)


def fixed_budget(done: Finished) -> Rule:
    """Return the fixed budget of Notsawo et al. 2023: the law of t4 over the fraction, and 1 000.

    The law is fitted to these very runs, for each family of tasks, by their outcomes: in hindsight.

    Raises
    ------
    RuleUnavailableError
        If no family has four training fractions with runs that generalised.
    """
    fraction = np.array([_fraction(run) for run in done.runs.runs])
    expected = np.full(len(done), NEVER)
    for kind in _kinds(done):
        own = kind & np.isfinite(fraction)
        known = own & done.good
        if np.unique(fraction[known]).size < 4:
            continue
        with np.errstate(over="ignore"):  # steps of the fit that it takes back
            law = fit_generalisation_law(fraction[known], done.runs.t4[known])
        expected[own] = [law(r) for r in fraction[own]]
    if not np.isfinite(expected).any():
        raise RuleUnavailableError(
            "t4(r) + 1000 needs four values of train_fraction among the configurations of good runs"
        )
    return Rule(
        "fixed budget t4(r) + extra",
        tuple(f"extra {extra}" for extra in EXTRA_STEPS),
        np.array([expected + extra for extra in EXTRA_STEPS]),
        as_is=expected + EXTRA_STEPS[0],
    )


def _fraction(run: Run) -> float:
    lowered = {str(key).lower(): value for key, value in run.hparams.items()}
    for key in FRACTION_KEYS:
        value = lowered.get(key)
        if isinstance(value, (int, float)) and 0 < value <= 1:
            return float(value)
    return np.nan


def _kinds(done: Finished) -> Iterator[IntArray]:
    family = np.array([name or "" for name in done.runs.family])
    for name in np.unique(family):
        yield family == name


def activity(done: Finished, horizon: int) -> FloatArray:
    """Return Hjorth's activity of the conditioned loss in the first steps; NaN where unknown.

    Parameters
    ----------
    done : Finished
        Runs whose log does not serve the window on its own grid have none.
    horizon : int
        Steps of the window.
    """
    settings = SignalSettings()
    found = np.full(len(done), np.nan)
    served: dict[int, list[int]] = {}
    for i, run in enumerate(done.runs.runs):
        stride = run.loss.stride
        enough = horizon // stride >= MIN_SAMPLES
        if enough and done.runs.t4[i] > horizon and serves(run.loss, horizon, stride):
            served.setdefault(stride, []).append(i)
    for stride, index in served.items():
        samples = window([done.runs.runs[i] for i in index], horizon, stride)
        found[index] = hjorth(condition(samples, settings)).activity
    return found


def activity_rule(done: Finished, horizon: int) -> Rule:
    """Return a threshold on the activity of the first steps, from either side.

    Notsawo et al. 2023 expect the runs that oscillate to generalise; in hindsight the other way
    round is tried too.

    Raises
    ------
    RuleUnavailableError
        If the activity of no run that generalises later is known.
    """
    values = activity(done, horizon)
    known = np.isfinite(values)
    if not (known & done.good).any():
        raise RuleUnavailableError(f"activity needs runs that generalised after step {horizon}")
    candidates = np.unique(values[known & done.good])
    below = np.where(values < np.r_[candidates, np.inf][:, None], float(horizon), NEVER)
    above = np.where(values > np.r_[candidates, -np.inf][:, None], float(horizon), NEVER)
    return Rule(
        f"activity of {horizon} steps",
        (
            *(f"below {value:.3g}" for value in (*candidates, np.inf)),
            *(f"above {value:.3g}" for value in (*candidates, -np.inf)),
        ),
        np.concatenate([below, above]),
    )
