"""How well the probabilities of each look rank the runs, and how well they are calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.accounting import Account, Finished, account_for
from grokpredict.evaluation.reliability import Reliability, reliability
from grokpredict.evaluation.replay import Replay
from grokpredict.features.profile import BINS_A_LOOK, PER_OCTAVE
from grokpredict.training.ranking import Interval, auroc, auroc_intervals, enough

#: Looks to an octave of steps, of which the first is shown.
AN_OCTAVE = PER_OCTAVE // BINS_A_LOOK


@dataclass(frozen=True)
class LookFigures:
    """One model at one horizon.

    Attributes
    ----------
    model : str
        Name of the replay.
    horizon : int
        Steps that were read.
    n_runs, n_good : int
        Runs that were looked at, and those of them that generalised.
    strange : float
        Share of the looks that abstained. They count in the other figures all the same.
    auroc : Interval
        Area under the receiver operating characteristic.
    configuration_auroc, lead : Interval
        That of the configuration alone, trained on the other runs, and the paired difference, on
        the runs whose configuration is known. Without a value, as :attr:`auroc`, where there are
        fewer than five runs of an outcome.
    family_auroc : mapping of str to float
        Within each kind of task that has five runs of each outcome.
    reliability : Reliability
        Probabilities beside what happened.
    """

    model: str
    horizon: int
    n_runs: int
    n_good: int
    strange: float
    auroc: Interval
    configuration_auroc: Interval
    lead: Interval
    family_auroc: Mapping[str, float]
    reliability: Reliability


@dataclass(frozen=True)
class FamilyFigures:
    """One kind of task.

    Attributes
    ----------
    family : str
        Its name in the hyperparameters.
    n_good, n_doomed : int
        Runs.
    abstained : float
        Share of the runs that were never judged.
    account : Account
        What the model as it is would have lost and saved.
    """

    family: str
    n_good: int
    n_doomed: int
    abstained: float
    account: Account


def look_figures(
    done: Finished, models: Sequence[Replay], configuration: Replay | None
) -> tuple[LookFigures, ...]:
    """Return the figures of each model, for one look an octave.

    Parameters
    ----------
    done : Finished
        The runs.
    models : sequence of Replay
        Each over all of them.
    configuration : Replay or None
        The baseline, which reads the configuration and the budget alone.
    """
    return tuple(
        _figures(done, model, row, configuration)
        for model in models
        for row in range(0, len(model.horizons), AN_OCTAVE)
        if np.isfinite(model.probability[row]).any()
    )


def _figures(done: Finished, model: Replay, row: int, configuration: Replay | None) -> LookFigures:
    horizon = model.horizons[row]
    scores = model.probability[row]
    scored = np.isfinite(scores)
    none = Interval(None, None, None)
    base, lead = none, none
    if configuration is not None and horizon in configuration.horizons:
        alone = configuration.probability[configuration.horizons.index(horizon)]
        both = scored & np.isfinite(alone)
        (_, base), (lead, _) = _areas(done, both, np.stack([scores[both], alone[both]]))
    good = done.good[scored]
    return LookFigures(
        model=model.name,
        horizon=horizon,
        n_runs=int(scored.sum()),
        n_good=int(good.sum()),
        strange=float(model.strange[row, scored].mean()),
        auroc=_areas(done, scored, scores[None, scored])[0][0],
        configuration_auroc=base,
        lead=lead,
        family_auroc=_by_family(done, scores),
        reliability=reliability(scores[scored], good),
    )


def _areas(
    done: Finished, scored: np.ndarray, scores: np.ndarray
) -> tuple[list[Interval], list[Interval]]:
    return auroc_intervals(
        done.good[scored], scores, done.runs.network[scored], np.random.default_rng(0)
    )


def _by_family(done: Finished, scores: np.ndarray) -> dict[str, float]:
    areas = {}
    scored = np.isfinite(scores)
    for name, family in families(done).items():
        good = done.good[family & scored]
        if enough(good):
            areas[name] = auroc(good, scores[family & scored])
    return areas


def families(done: Finished) -> dict[str, np.ndarray]:
    """Return a mask over the runs for each kind of task; empty if fewer than two are named."""
    names = sorted({name for name in done.runs.family if name is not None})
    if len(names) < 2:
        return {}
    return {name: np.array([family == name for family in done.runs.family]) for name in names}


def family_figures(done: Finished, model: Replay) -> tuple[FamilyFigures, ...]:
    """Return what a model as it is does with each kind of task."""
    stops = model.as_is
    figures = []
    for name, family in families(done).items():
        part = Finished(done.runs.only(family), done.spent[family])
        figures.append(
            FamilyFigures(
                family=name,
                n_good=int(part.good.sum()),
                n_doomed=int((~part.good).sum()),
                abstained=float(model.abstained[family].mean()),
                account=account_for(part, model.name, "as it is", stops[family]),
            )
        )
    return tuple(figures)
