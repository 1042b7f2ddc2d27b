"""Optuna's pruners, replayed: each finished run is a trial that reports its validation metric."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from grokpredict._util.parallel import results
from grokpredict.evaluation.accounting import NEVER, Finished, Rule, RuleUnavailableError
from grokpredict.runs.curve import Curve, FloatArray

#: A trial reports at most so often, at every second, third, ... evaluation: the time that Optuna's
#: pruners take grows with the square of it.
MOST_REPORTS = 100

#: Reports before the median pruner speaks, as a share of the longest budget.
_WARM_UPS = (0.0, 0.05, 0.1, 0.2, 0.4)

#: Steps of the first rung of successive halving and Hyperband.
_FIRST_RUNGS = (200, 800, 3200)

_PATIENCES = (5, 10, 20, 40, 80)
_P_THRESHOLDS = (0.1, 0.01, 0.001)

#: Up to 13 values with ties SciPy's test permutes, which takes a thousand times as long.
_FIRST_TEST = 14


@dataclass(frozen=True)
class Setting:
    """A pruner that can be made anew for each study.

    Attributes
    ----------
    rule, name : str
        Class of the pruner, and what is set.
    make : callable
        Takes the longest budget of the study; returns the pruner.
    """

    rule: str
    name: str
    make: Callable[[int], Any]


def settings() -> list[Setting]:
    """Return the pruners with the settings that are tried; Optuna must be installed."""
    from optuna import pruners

    def median(share: float) -> Callable[[int], Any]:
        return lambda longest: pruners.MedianPruner(n_warmup_steps=int(share * longest))

    def halving(first: int, factor: int) -> Callable[[int], Any]:
        return lambda _: pruners.SuccessiveHalvingPruner(
            min_resource=first, reduction_factor=factor
        )

    def hyperband(first: int) -> Callable[[int], Any]:
        return lambda longest: pruners.HyperbandPruner(
            min_resource=first, max_resource=max(longest, first + 1), reduction_factor=3
        )

    def patient(patience: int) -> Callable[[int], Any]:
        return lambda _: pruners.PatientPruner(None, patience=patience)

    def wilcoxon(p: float) -> Callable[[int], Any]:
        return lambda _: pruners.WilcoxonPruner(p_threshold=p, n_startup_steps=_FIRST_TEST)

    return [
        *(Setting("MedianPruner", f"warm-up {100 * s:.0f} %", median(s)) for s in _WARM_UPS),
        *(
            Setting("SuccessiveHalvingPruner", f"from {first}, by {factor}", halving(first, factor))
            for first in _FIRST_RUNGS
            for factor in (2, 4)
        ),
        *(Setting("HyperbandPruner", f"from {first}", hyperband(first)) for first in _FIRST_RUNGS),
        *(Setting("PatientPruner", f"patience {n}", patient(n)) for n in _PATIENCES),
        *(Setting("WilcoxonPruner", f"p < {p:g}", wilcoxon(p)) for p in _P_THRESHOLDS),
    ]


def pruner_rules(done: Finished, *, jobs: int = 1, seed: int = 0) -> list[Rule]:
    """Return Optuna's pruners as rules.

    Parameters
    ----------
    done : Finished
        A study holds the runs of one kind of task, in a random order; values of different tasks
        cannot be compared. Runs without a validation metric are left alone.
    jobs : int
        Processes, as joblib counts them.
    seed : int
        Decides the order.

    Returns
    -------
    list of Rule or str
        One a class of pruner. Evaluations are reported at their steps, up to
        :data:`MOST_REPORTS` a run; ``val_acc`` is maximised, and ``-val_loss`` where there is no
        accuracy.

    Raises
    ------
    RuleUnavailableError
        If Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise RuleUnavailableError(
            "Optuna's pruners need Optuna: pip install 'grokpredict[optuna]'"
        )
    from joblib import delayed

    tried = settings()
    studies = _studies(done, seed)
    places = [(i, kind) for i in range(len(tried)) for kind in studies]
    replays = (delayed(_replayed)(kind, i, studies[kind]) for i, kind in places)
    stops = np.full((len(tried), len(done)), NEVER)
    for (i, kind), found in zip(places, results(replays, jobs), strict=True):
        stops[i, list(studies[kind])] = found
    names = list(dict.fromkeys(each.rule for each in tried))
    return [
        Rule(
            name,
            tuple(each.name for each in tried if each.rule == name),
            stops[[each.rule == name for each in tried]],
        )
        for name in names
    ]


def _studies(done: Finished, seed: int) -> dict[str, dict[int, Curve]]:
    """Return the runs of each study, in the order of the trials, with what they report."""
    found: dict[str, dict[int, Curve]] = {}
    for i in np.random.default_rng(seed).permutation(len(done)):
        run = done.runs.runs[i]
        for metric, sign in (("val_acc", 1.0), ("val_loss", -1.0)):
            curve = run.channels.get(metric)
            if curve is None:
                continue
            within = curve.steps <= done.runs.budget[i]
            if within.any():
                own = Curve(curve.steps[within], sign * curve.values[within])
                found.setdefault(f"{done.runs.family[i]}, {metric}", {})[int(i)] = own
                break
    return {name: _thinned(curves) for name, curves in found.items()}


def _thinned(curves: Mapping[int, Curve]) -> dict[int, Curve]:
    """Return every second, third, ... evaluation, so that none has too many."""
    every = -(-max(map(len, curves.values())) // MOST_REPORTS)
    return {
        i: Curve(curve.steps[every - 1 :: every], curve.values[every - 1 :: every])
        for i, curve in curves.items()
        if len(curve) >= every
    }


def _replayed(name: str, setting: int, curves: Mapping[int, Curve]) -> FloatArray:
    """Return the step at which each trial of one study was pruned."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Some pruners are experimental, and some warn of values that are not finite.
            warnings.simplefilter("ignore")
            longest = max(int(curve.steps[-1]) for curve in curves.values())
            study = optuna.create_study(
                direction="maximize",
                study_name=name,
                pruner=settings()[setting].make(longest),
                sampler=optuna.samplers.RandomSampler(seed=0),
            )
            return np.array([_trial(study, curve) for curve in curves.values()])
    finally:
        optuna.logging.set_verbosity(before)


def _trial(study: Any, curve: Curve) -> float:
    """Report one run's values as they came; return the step at which it was pruned."""
    from optuna.trial import TrialState

    trial = study.ask()
    pairs: zip[tuple[int, float]] = zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
    value = np.nan
    for step, value in pairs:
        trial.report(value, step)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return float(step)
    if np.isfinite(value):
        study.tell(trial, value)
    else:
        study.tell(trial, state=TrialState.FAIL)
    return NEVER
