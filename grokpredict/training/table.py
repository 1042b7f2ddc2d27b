"""All looks at some runs, and the rows that a classifier is fitted to: with channels left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, SPECTRUM, budget_left
from grokpredict.features.profile import LOOKS
from grokpredict.model.channels import (
    READABLE,
    VALIDATION,
    Reads,
    may_stop,
    only,
    readable,
    without,
)
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.outcomes import Runs
from grokpredict.training.record import Record

#: Chance that the looks at a run keep these channels; both validation channels go together, or
#: one of them alone does.
_WITH_VALIDATION, _ONE_OF_BOTH = 0.75, 0.25
_WITH = {"train_acc": 0.7, "weight_norm": 0.45, SPECTRUM: 0.7}

#: Budgets that a look is asked about besides the run's own, and the nearest as a share of its step.
EXTRA_BUDGETS = 2
_NEAREST_BUDGET = 1.1

_BUDGET = COLUMNS.index(BUDGET_COLUMN)


@dataclass(frozen=True, eq=False)
class LookTable:
    """All looks at some runs that had not generalised by then.

    Attributes
    ----------
    columns : ndarray, shape (n_looks, n_columns)
        What each look read, with its run's budget.
    step : ndarray of int, shape (n_looks,)
        Where each look is.
    run : ndarray of int, shape (n_looks,)
        Whose it is, ascending.
    t4, budget : ndarray, shape (n_runs,)
        When each run generalised, infinite if it did not; by when it had to.
    """

    columns: NDArray[np.floating]
    step: IntArray
    run: IntArray
    t4: FloatArray
    budget: FloatArray

    @classmethod
    def of(cls, records: Sequence[Record], runs: Runs) -> LookTable:
        """Take every look before each run's budget at which it had not generalised."""
        return cls.joined(
            [record.look for record in records],
            [record.columns for record in records],
            runs.t4,
            runs.budget,
        )

    @classmethod
    def joined(
        cls,
        looks: Sequence[IntArray],
        columns: Sequence[NDArray[np.floating]],
        t4: FloatArray,
        budget: FloatArray,
    ) -> LookTable:
        """Join the looks at runs, given by number and columns, as far as they come in time."""
        kept = [
            LOOKS[look] < min(end, until)
            for look, end, until in zip(looks, t4, budget, strict=True)
        ]
        numbers = [look[early] for look, early in zip(looks, kept, strict=True)]
        parts = [part[early] for part, early in zip(columns, kept, strict=True)]
        run = np.repeat(np.arange(len(parts)), [part.shape[0] for part in parts])
        step = LOOKS[np.concatenate([np.empty(0, dtype=np.int64), *numbers])]
        empty = np.empty((0, len(COLUMNS)), dtype=np.float32)
        x = np.concatenate([empty, *parts])
        x[:, _BUDGET] = budget_left(step, budget[run])
        return cls(x, step, run, t4, budget)

    def among(self, runs: BoolArray) -> LookTable:
        """Return the looks at the runs that are marked; runs keep their numbers."""
        return self.at(runs[self.run])

    def at(self, looks: BoolArray | IntArray) -> LookTable:
        """Return some looks; runs keep their numbers."""
        return replace(
            self, columns=self.columns[looks], step=self.step[looks], run=self.run[looks]
        )

    @property
    def good(self) -> BoolArray:
        """Whether each run generalised by its budget."""
        return np.asarray(self.t4 <= self.budget, dtype=np.bool_)

    @property
    def looked_at(self) -> BoolArray:
        """Whether each run has a look, shape (n_runs,)."""
        looked = np.zeros(self.t4.size, dtype=np.bool_)
        looked[self.run] = True
        return looked

    @property
    def both_outcomes(self) -> bool:
        """Whether there are looks at runs of either outcome."""
        good = self.good[self.run]
        return bool(good.any() and not good.all())

    def settled(self) -> dict[int, Reads]:
        """Return what each run would be read by: what its first look with validation can read.

        Runs without such a look are left out.
        """
        there = readable(self.columns)
        run, look = self.first_that_may_stop()
        return {
            int(i): tuple(channel for channel, yes in zip(READABLE, row, strict=True) if yes)
            for i, row in zip(run, there[look], strict=True)
        }

    def first_that_may_stop(self) -> tuple[IntArray, IntArray]:
        """Return the runs with a look at loss and validation, and the first such look of each."""
        return self._first(_may_stop(readable(self.columns), READABLE))

    def scored_by(self, reads: Reads) -> BoolArray:
        """Return the looks that are judged at runs whose log has only these channels.

        The first look that can read the loss and a validation channel decides what all later ones
        read. A run counts if that is all of ``reads``; of its looks those that can read them.
        Without validation there is nothing to wait for, and the first look decides.
        """
        there = readable(self.columns)[:, [READABLE.index(channel) for channel in reads]]
        whole = np.asarray(there.all(axis=1), dtype=np.bool_)
        run, look = self._first(_may_stop(there, reads) if may_stop(reads) else there[:, 0])
        counted = np.zeros(self.t4.size, dtype=np.bool_)
        counted[run] = whole[look]
        return np.asarray(whole & counted[self.run], dtype=np.bool_)

    def _first(self, looks: BoolArray) -> tuple[IntArray, IntArray]:
        """Return the runs with a look that is marked, and the first such look of each."""
        at = np.flatnonzero(looks)
        run, first = np.unique(self.run[at], return_index=True)
        return run, at[first]

    def reading(self, reads: Reads) -> FloatArray:
        """Return the columns as looks have them that read no other channels."""
        return only(self.columns, reads)


def _may_stop(there: BoolArray, reads: Reads) -> BoolArray:
    """Return the looks at which the loss and a validation channel are there."""
    validation = [i for i, channel in enumerate(reads) if channel in VALIDATION]
    return np.asarray(there[:, 0] & there[:, validation].any(axis=1), dtype=np.bool_)


def rows_to_fit(table: LookTable, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Return columns and outcomes to fit to: each look with some channels, by several budgets.

    A run's own budget is one; the others are spread over the logarithm of the steps from the
    look to it. Of later ones only the outcome of good runs is known.
    """
    columns = without(table.columns, _left_out(table, rng))
    budget = table.budget[table.run]
    nearest = np.minimum(_NEAREST_BUDGET * table.step, budget)
    spread = (np.arange(EXTRA_BUDGETS) + rng.random((table.step.size, EXTRA_BUDGETS))) / max(
        EXTRA_BUDGETS, 1
    )
    others = np.maximum(
        nearest[:, None] * (budget / nearest)[:, None] ** spread, table.step[:, None] + 1
    )
    budgets = np.column_stack([budget, others])
    x = np.repeat(columns, EXTRA_BUDGETS + 1, axis=0)
    x[:, _BUDGET] = budget_left(table.step[:, None], budgets).ravel()
    y = table.t4[table.run][:, None] <= budgets
    return x, np.asarray(y.ravel(), dtype=np.bool_)


def _left_out(table: LookTable, rng: np.random.Generator) -> BoolArray:
    """Return which channels each look goes without, the same at all looks at a run."""
    n = table.t4.size
    validation = rng.random(n) < _WITH_VALIDATION
    alone = np.where(rng.random(n) < _ONE_OF_BOTH, rng.integers(1, 3, n), 0)
    kept = {
        "train_loss": np.ones(n, dtype=np.bool_),
        "val_loss": validation & (alone != 2),
        "train_acc": rng.random(n) < _WITH["train_acc"],
        "val_acc": validation & (alone != 1),
        "weight_norm": rng.random(n) < _WITH["weight_norm"],
        SPECTRUM: rng.random(n) < _WITH[SPECTRUM],
    }
    missing = ~np.column_stack([kept[channel] for channel in READABLE])
    return np.asarray(missing[table.run], dtype=np.bool_)
