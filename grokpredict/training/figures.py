"""How well looks rank runs that no fit saw, and what the thresholds would have lost and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from grokpredict.features.columns import COLUMNS
from grokpredict.features.profile import FIRST_LOOK, LOOKS
from grokpredict.model.channels import Reads
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.cross_validation import calibrated
from grokpredict.training.outcomes import Runs
from grokpredict.training.patience import PATIENCES
from grokpredict.training.ranking import auroc_intervals, enough
from grokpredict.training.record import Record
from grokpredict.training.report import Account, LookFigures
from grokpredict.training.splits import Split
from grokpredict.training.table import LookTable

#: Good runs of a kind of task whose share lost means something.
MIN_GOOD = 10

#: Largest share of good runs that may be lost, for the accounts of the report.
SHARE = 0.05

#: Steps of which Notsawo et al. 2023 read the oscillation, and the look after them.
_ACTIVITY_LOOK = int(np.searchsorted(LOOKS, 400))

_ACTIVITY, _STRIDE = COLUMNS.index("loss_activity"), COLUMNS.index("log2_stride")


def look_figures(
    table: LookTable,
    runs: Runs,
    scores: Mapping[str, FloatArray],
    configuration: FloatArray,
    *,
    seed: int,
) -> tuple[LookFigures, ...]:
    """Return the figures at every octave of steps, for each set of scores.

    Parameters
    ----------
    table, runs : LookTable, Runs
        Of the same runs.
    scores : mapping of str to ndarray, shape (n_looks,)
        By what is read; NaN at looks that are not scored.
    configuration : ndarray, shape (n_runs,)
        Scores by the configuration alone.
    seed : int
        Of the bootstrap.
    """
    figures = []
    for step in LOOKS[::2]:
        looks = table.step == step
        for reads, values in scores.items():
            rows = np.flatnonzero(looks & np.isfinite(values))
            run = table.run[rows]
            good = table.good[run]
            if not enough(good):
                continue
            areas, leads = auroc_intervals(
                good,
                np.stack([values[rows], configuration[run]]),
                runs.network[run],
                np.random.default_rng(seed),
            )
            figures.append(
                LookFigures(
                    step=int(step),
                    reads=reads,
                    n_runs=run.size,
                    n_generalised=int(good.sum()),
                    auroc=areas[0],
                    configuration_auroc=areas[1],
                    lead=leads[0],
                )
            )
    return tuple(figures)


def activity(table: LookTable) -> FloatArray:
    """Return at each look from step 400 on the activity of the first 400 losses, else NaN.

    Notsawo et al. 2023 (arXiv 2306.13253): the runs that oscillate generalise. Only of runs that
    were logged at every step.
    """
    of_run = np.full(table.t4.size, np.nan)
    at = (table.step == LOOKS[_ACTIVITY_LOOK]) & (table.columns[:, _STRIDE] == 0)
    of_run[table.run[at]] = table.columns[at, _ACTIVITY]
    scores: FloatArray = of_run[table.run]
    return np.where(table.step >= LOOKS[_ACTIVITY_LOOK], scores, np.nan)


def accounts(
    table: LookTable,
    runs: Runs,
    records: Sequence[Record],
    probability: Mapping[Reads, FloatArray],
    splits: Sequence[Split],
    *,
    by_kind: bool,
) -> tuple[Account, ...]:
    """Return what thresholds and ``EarlyStopping`` would have lost and saved.

    Each part's threshold, and its patience, is set on the runs outside it: of a kind of task by
    the other kinds, else of a fold of networks by the other folds.

    Parameters
    ----------
    table, runs, records
        Of the same runs.
    probability : mapping of tuple of str to ndarray, shape (n_looks,)
        By the channels read, held out.
    splits : sequence of (ndarray of bool, ndarray of bool)
        By which it was.
    by_kind : bool
        Whether these left out kinds of task.
    """
    kinds = [runs.kind == kind for kind in np.unique(runs.kind)]
    parts = kinds if by_kind else [out for _, out in splits]
    stops = np.full(len(runs), np.inf)
    waits = np.full(len(runs), np.inf)
    patience = np.array([record.patience for record in records]).T.reshape(PATIENCES.size, -1)
    spent = _spent(runs, records)
    for out in parts:
        _stop(table, runs, probability, out, stops, by_kind=by_kind)
        waits[out] = patience[_best(runs, table, patience, spent, ~out)][out]
    families = {str(runs.family[int(np.argmax(kind))]): kind for kind in kinds}
    return (
        account("this classifier", table, stops, spent, families),
        account("EarlyStopping(val_loss)", table, waits, spent, families),
    )


def _stop(
    table: LookTable,
    runs: Runs,
    probability: Mapping[Reads, FloatArray],
    out: BoolArray,
    stops: FloatArray,
    *,
    by_kind: bool,
) -> None:
    """Set in ``stops`` where the runs ``out`` are stopped, by thresholds of the others."""
    read_by = {run: reads for run, reads in table.settled().items() if out[run]}
    wanted = {reads: probability[reads] for reads in set(read_by.values()) if reads in probability}
    calibrations = calibrated(table, runs, wanted, ~out, by_kind=by_kind)
    for reads, calibration in calibrations.items():
        limit = calibration.threshold(SHARE)
        if limit is None:
            continue
        mine = np.zeros(len(runs), dtype=np.bool_)
        mine[[run for run, channels in read_by.items() if channels == reads]] = True
        below = mine[table.run] & (probability[reads] < limit)
        np.minimum.at(stops, table.run[below], table.step[below])


def _spent(runs: Runs, records: Sequence[Record]) -> FloatArray:
    """Return the steps that each run took towards its budget."""
    ended = np.array([record.facts.last_step + 1.0 for record in records])
    diverged = np.array([record.facts.diverged for record in records])
    early = runs.generalised | diverged
    return np.where(early, np.minimum(ended, runs.budget), runs.budget)


def _best(
    runs: Runs, table: LookTable, settings: FloatArray, spent: FloatArray, among: BoolArray
) -> int:
    """Return the setting that saves most of the marked runs and loses no more than the share."""
    good = among & table.good & table.looked_at
    doomed = among & ~table.good
    lost = (settings[:, good] < runs.t4[good]).sum(axis=1)
    saved = np.maximum(spent - np.maximum(settings, FIRST_LOOK), 0)[:, doomed].sum(axis=1)
    allowed = lost <= SHARE * good.sum()
    # The longest patience loses least where all lose too much.
    return int(np.argmax(np.where(allowed, saved, -1.0))) if allowed.any() else len(settings) - 1


def account(
    name: str,
    table: LookTable,
    stops: FloatArray,
    spent: FloatArray,
    families: Mapping[str, BoolArray],
) -> Account:
    """Return what a rule lost and saved.

    Parameters
    ----------
    name : str
        The rule.
    table : LookTable
        Of all runs.
    stops, spent : ndarray, shape (n_runs,)
        Where the rule stopped each, infinite if it did not; steps that each took.
    families : mapping of str to ndarray of bool, shape (n_runs,)
        Kinds of task.
    """
    good = table.good & table.looked_at
    lost = good & (stops < table.t4)
    shares = {
        family: float(lost[members].sum() / good[members].sum())
        for family, members in families.items()
        if good[members].sum() >= MIN_GOOD
    }
    worst = max(shares, key=lambda family: shares[family], default=None)
    doomed = ~table.good
    whole = np.maximum(spent - FIRST_LOOK, 0)[doomed].sum()
    saved = np.maximum(spent - np.maximum(stops, FIRST_LOOK), 0)[doomed].sum()
    return Account(
        name=name,
        lost=int(lost.sum()),
        n_generalised=int(good.sum()),
        worst=None if worst is None else shares[worst],
        worst_family=worst,
        mean_lost=float(np.mean(list(shares.values()))) if shares else None,
        saved=float(saved / whole) if whole else None,
    )
