"""What a rule that stops runs would have lost and saved on runs that are finished."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grokpredict._util.errors import GrokpredictError
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.outcomes import Runs
from grokpredict.training.ranking import RESAMPLES, Interval

#: A rule that does not stop a run stops it here.
NEVER = np.inf


@dataclass(frozen=True, eq=False)
class Finished:
    """Finished runs that had not generalised when a rule could first speak.

    Attributes
    ----------
    runs : Runs
        As columns.
    spent : ndarray, shape (n_runs,)
        Steps that each run took: its budget, or fewer if it generalised or diverged before and
        was ended there.
    """

    runs: Runs
    spent: FloatArray

    def __len__(self) -> int:
        return len(self.runs.runs)

    @cached_property
    def good(self) -> BoolArray:
        """Whether each run generalised by its budget."""
        return self.runs.generalised

    @cached_property
    def resampled(self) -> FloatArray:
        """How often each run is in each bootstrap sample of whole networks.

        Shape (:data:`~grokpredict.training.ranking.RESAMPLES`, n_runs); the same samples for
        every rule.
        """
        _, cluster = np.unique(self.runs.network, return_inverse=True)
        n_clusters = int(cluster.max(initial=-1)) + 1
        drawn = np.random.default_rng(0).multinomial(
            n_clusters, np.full(n_clusters, 1 / max(n_clusters, 1)), RESAMPLES
        )
        return np.asarray(drawn[:, cluster], dtype=float)


def finished(runs: Runs, first_look: int) -> Finished:
    """Return the runs that had neither generalised nor ended by the first look."""
    kept = runs.only((runs.t4 > first_look) & (runs.budget > first_look))
    ended = np.array([run.last_step + 1 for run in kept.runs], dtype=float)
    diverged = np.array([run.diverged for run in kept.runs], dtype=np.bool_)
    # A doomed run was watched to its budget, whatever the step of its last evaluation.
    early = kept.generalised | diverged
    return Finished(kept, np.where(early, np.minimum(ended, kept.budget), kept.budget))


@dataclass(frozen=True)
class Account:
    """What a rule would have lost and saved.

    Attributes
    ----------
    rule : str
        Its name.
    setting : str
        Its setting; empty if it has none.
    lost : Interval
        Share of the runs that generalised which were stopped before they did, with the
        Clopper-Pearson interval.
    n_lost, n_good : int
        The counts behind it.
    cut : float or None
        Share of the doomed runs that were stopped before their end.
    saved_of_all : float or None
        Steps of doomed runs after they were stopped, as a share of the steps of all runs. Steps
        of lost runs are never counted as saved.
    saved : Interval
        The same steps as a share of what an oracle saves, which stops every doomed run before
        its first step; with a bootstrap interval over networks.
    matched : bool
        Whether the lost share is within the limit that the setting was chosen for.
    """

    rule: str
    setting: str
    lost: Interval
    n_lost: int
    n_good: int
    cut: float | None
    saved_of_all: float | None
    saved: Interval
    matched: bool = True


class RuleUnavailableError(GrokpredictError):
    """A rule cannot be replayed on these runs, with the reason as its message."""


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule that stops runs, with one or several settings.

    Attributes
    ----------
    name : str
        For people.
    settings : tuple of str
        What distinguishes the rows of ``stops``.
    stops : ndarray, shape (n_settings, n_runs)
        Steps after which each run was stopped; infinite where it was not.
    as_is : ndarray, shape (n_runs,), optional
        The same for the rule as it comes, with no choice made in hindsight.
    """

    name: str
    settings: tuple[str, ...]
    stops: FloatArray
    as_is: FloatArray | None = None


def lost_and_saved(done: Finished, stops: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the shares of lost runs and of the oracle's steps, one for each row of ``stops``.

    Parameters
    ----------
    done : Finished
        The runs.
    stops : ndarray, shape (n_settings, n_runs)
        Steps after which each was stopped.
    """
    lost = _lost(done, stops).sum(axis=-1)
    saved = _saved_steps(done, stops).sum(axis=-1)
    n_good = max(int(done.good.sum()), 1)
    return lost / n_good, saved / max(float(done.spent[~done.good].sum()), 1.0)


def account_for(
    done: Finished, name: str, setting: str, stop: FloatArray, *, matched: bool = True
) -> Account:
    """Account for one rule with one setting.

    Parameters
    ----------
    done : Finished
        The runs.
    name, setting : str
        What it is called.
    stop : ndarray, shape (n_runs,)
        Step after which each run was stopped.
    matched : bool
        See :class:`Account`.
    """
    doomed = ~done.good
    n_lost = int(_lost(done, stop).sum())
    n_good = int(done.good.sum())
    saved = _saved_steps(done, stop)
    oracle = np.where(doomed, done.spent, 0.0)
    return Account(
        rule=name,
        setting=setting,
        lost=clopper_pearson(n_lost, n_good),
        n_lost=n_lost,
        n_good=n_good,
        cut=float(np.mean(stop[doomed] < done.spent[doomed])) if doomed.any() else None,
        saved_of_all=float(saved.sum() / done.spent.sum()) if done.spent.sum() else None,
        saved=_ratio(saved, oracle, done.resampled),
        matched=matched,
    )


def best(done: Finished, rule: Rule, limit: float) -> Account:
    """Account for a rule with the setting that saves most while it loses at most ``limit``.

    The setting is chosen in hindsight on these very runs, which favours the rule. If no setting
    loses so few, it is the one that loses least, and the account says that it is not matched.
    """
    chosen, matched = most_saving(*lost_and_saved(done, rule.stops), limit)
    return account_for(done, rule.name, rule.settings[chosen], rule.stops[chosen], matched=matched)


def most_saving(lost: FloatArray, saved: FloatArray, limit: float) -> tuple[int, bool]:
    """Return the setting that saves most within a limit on what is lost, else that loses least.

    Parameters
    ----------
    lost, saved : ndarray, shape (n_settings,)
        Shares of good runs, and of the oracle's steps.
    limit : float
        Largest share that may be lost.

    Returns
    -------
    chosen : int
        Number of the setting.
    within : bool
        Whether it keeps the limit.

    Examples
    --------
    >>> lost, saved = np.array([0.1, 0.04, 0.01]), np.array([0.9, 0.5, 0.2])
    >>> most_saving(lost, saved, 0.05), most_saving(lost, saved, 0.001)
    ((1, True), (2, False))
    """
    within = lost <= limit
    if within.any():
        return int(np.argmax(np.where(within, saved, -1.0))), True
    return int(np.lexsort((-saved, lost))[0]), False


def clopper_pearson(hits: int, n: int) -> Interval:
    """Return a share with its exact 95 % interval; None without any trial.

    Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404: the ends are quantiles of Beta(hits,
    n - hits + 1) and Beta(hits + 1, n - hits).

    >>> clopper_pearson(0, 59).high
    0.0606...
    """
    from scipy.special import betaincinv

    if n == 0:
        return Interval(None, None, None)
    tail = (1 - 0.95) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return Interval(hits / n, low, high)


def _lost(done: Finished, stops: FloatArray) -> BoolArray:
    """Return which runs would have generalised after they were stopped."""
    return np.asarray(done.good & (stops < done.runs.t4), dtype=np.bool_)


def _saved_steps(done: Finished, stops: FloatArray) -> FloatArray:
    return np.where(done.good, 0.0, np.maximum(done.spent - stops, 0.0))


def _ratio(part: FloatArray, whole: FloatArray, weights: FloatArray) -> Interval:
    """Return sum(part) / sum(whole) with its percentile interval."""
    if not whole.sum():
        return Interval(None, None, None)
    wholes = weights @ whole
    drawn = (weights @ part)[wholes > 0] / wholes[wholes > 0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(part.sum() / whole.sum()), float(low), float(high))
