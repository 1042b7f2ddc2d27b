"""Which runs of a sweep have a known outcome, by which budget, and which of them are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from grokpredict.runs.budget import budgets_of
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray, LabelRule
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep
from grokpredict.training.record import Facts

#: From so many networks on, of either outcome, splits hold out whole networks. Where there are
#: fewer, the sweep is taken to be about other configurations of the same ones.
MIN_NETWORKS = 20


@dataclass(frozen=True)
class Unused:
    """The runs of a sweep, and those whose outcome is not known.

    Attributes
    ----------
    runs : int
        Runs in all, with those that the reader left out.
    left_out : int
        Could not be read.
    no_metric : int
        Have no validation metric that says whether they generalised.
    censored : int
        Ended before their budget without having generalised: unknown, not negative.
    """

    runs: int
    left_out: int
    no_metric: int
    censored: int


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs whose outcome by their budget is known, as columns.

    Attributes
    ----------
    runs : tuple of Run
        As they were read; none where only records were kept.
    configurations : tuple of Configuration
        What is known of each before its first step.
    t4 : ndarray, shape (n_runs,)
        Step at which it generalised, infinite if it did not while it was watched.
    budget : ndarray, shape (n_runs,)
        Step by which it had to.
    configuration : ndarray of int, shape (n_runs,)
        Runs with the same number are repetitions of one configuration.
    network : ndarray of int, shape (n_runs,)
        Runs with the same number are of one kind of task and have equally many parameters, so
        that they resemble each other, and no split has them on both sides. The same as
        ``configuration`` where the number of parameters is not known or there are fewer than
        :data:`MIN_NETWORKS` networks of either outcome.
    family : tuple of (str or None)
        Kind of task, where the hyperparameters tell it.
    budget_source : tuple of str
        Where the budget of each comes from.
    """

    runs: tuple[Run, ...]
    configurations: tuple[Configuration, ...]
    t4: FloatArray
    budget: FloatArray
    configuration: IntArray
    network: IntArray
    family: tuple[str | None, ...]
    budget_source: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.t4.size

    def only(self, kept: IntArray | BoolArray) -> Runs:
        """Return some of them, by their rows or those that are marked."""
        index = np.arange(len(self))[kept]
        parts: dict[str, Any] = {}
        for column in fields(self):
            values = getattr(self, column.name)
            if isinstance(values, tuple):
                parts[column.name] = tuple(values[i] for i in index) if values else ()
            else:
                parts[column.name] = values[index]
        return Runs(**parts)

    @property
    def generalised(self) -> BoolArray:
        """Whether each run generalised by its budget."""
        return np.asarray(self.t4 <= self.budget, dtype=np.bool_)

    @property
    def by_network(self) -> bool:
        """Whether splits hold out whole networks, and not configurations."""
        return not np.array_equal(self.network, self.configuration)

    @property
    def kind(self) -> IntArray:
        """Number of the kind of task of each run; equal where none is named."""
        return numbered([str(name) for name in self.family])


def known_runs(
    sweep: Sweep, budget: int | None = None, rule: LabelRule | None = None
) -> tuple[Runs, dict[str, int]]:
    """Return the runs whose outcome is known, and how many are not, by the reason.

    Parameters
    ----------
    sweep : Sweep
        Finished and interrupted runs.
    budget : int, optional
        Step by which they have to generalise; for each the steps that it was planned for by
        default, or those of the longest run in its folder where the logs do not tell, see
        :func:`grokpredict.runs.budget.longest_of`.
    rule : LabelRule, optional
        What it takes for having generalised.

    Notes
    -----
    A run planned for fewer steps than ``budget`` is censored even if it generalised: of such runs
    only the good ones could ever be known, and counting them would make long budgets look good.
    """
    kept, runs, lost = outcomes([Facts.of(run, rule) for run in sweep.runs], budget)
    return replace(runs, runs=tuple(sweep.runs[i] for i in kept)), lost


def outcomes(facts: Sequence[Facts], budget: int | None) -> tuple[list[int], Runs, dict[str, int]]:
    """Return which runs have a known outcome, these, and how many have not, as :func:`known_runs`.

    The first are places in ``facts``.
    """
    budgets = budgets_of(facts, budget)
    kept: list[int] = []
    ends: list[tuple[float, float]] = []
    lost = {"no_metric": 0, "censored": 0}
    for i, (fact, asked) in enumerate(zip(facts, budgets, strict=True)):
        planned = fact.planned or asked.steps
        if fact.outcome is None:
            lost["no_metric"] += 1
        elif asked.steps > planned or fact.outcome.by(asked.steps) is None:
            lost["censored"] += 1
        else:
            kept.append(i)
            ends.append((np.inf if fact.outcome.t4 is None else fact.outcome.t4, asked.steps))
    t4, asked_for = np.array(ends, dtype=float).reshape(-1, 2).T
    labelled = [facts[i] for i in kept]
    configuration = _configurations(labelled)
    runs = Runs(
        runs=(),
        configurations=tuple(fact.configuration for fact in labelled),
        t4=t4,
        budget=asked_for,
        configuration=configuration,
        network=_networks(labelled, configuration, t4 <= asked_for),
        family=tuple(fact.family for fact in labelled),
        budget_source=tuple(
            budgets[i].source if facts[i].planned and budget is None else str(budgets[i])
            for i in kept
        ),
    )
    return kept, runs, lost


def _configurations(facts: Sequence[Facts]) -> IntArray:
    """Return the number of each run's configuration.

    Where all runs have the same one, each counts as one of its own. Whoever repeats one
    configuration asks about its next repetition, and repetitions are independent; or the logs do
    not tell the configurations apart.
    """
    configuration = numbered([fact.configuration_key for fact in facts])
    return configuration if configuration.any() else np.arange(len(facts))


def _networks(facts: Sequence[Facts], configuration: IntArray, good: BoolArray) -> IntArray:
    """Return :attr:`Runs.network`."""
    if any(fact.configuration.n_parameters is None for fact in facts):
        return configuration
    network = numbered([f"{fact.family} {fact.configuration.n_parameters}" for fact in facts])
    fewest = min(np.unique(network[outcome]).size for outcome in (good, ~good))
    return network if fewest >= MIN_NETWORKS else configuration


def numbered(names: Sequence[str]) -> IntArray:
    """Return equal numbers for equal names, from 0 on."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
