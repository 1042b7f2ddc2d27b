"""What classifiers trained on the other runs of the same sweep would have said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.accounting import Finished
from grokpredict.evaluation.looks import LOSS_ALONE, Choice, PastLooks, alike, chosen, distinct
from grokpredict.evaluation.replay import Replay, arranged
from grokpredict.model.thresholds import (
    abort_threshold,
    expected_threshold,
    independent_scores,
)
from grokpredict.runs.curve import FloatArray
from grokpredict.training.cross_validation import configuration_alone, held_out, lowest_of
from grokpredict.training.splits import Split, network_splits
from grokpredict.training.trainer import MIN_RUNS_PER_CLASS

#: Decides the folds.
_SEED = 0


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Replays of models that did not see the run that they look at.

    Attributes
    ----------
    replays : tuple of Replay
        Of the loss alone, and of all channels that there are if there are more. Empty if there
        are too few runs.
    configuration : Replay or None
        Of the configuration and the budget alone; None where no configuration is known.
    reason : str or None
        Why there is none.
    """

    replays: tuple[Replay, ...]
    configuration: Replay | None = None
    reason: str | None = None


def cross_fitted(
    done: Finished, looks: PastLooks, *, max_false_abort: float, jobs: int = 1
) -> CrossFitted:
    """Train on four fifths of the networks at a time and look at the rest.

    Parameters
    ----------
    done : Finished
        Ten runs of each outcome at least.
    looks : PastLooks
        The looks at them.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped.
    jobs : int
        Processes, as joblib counts them.

    Returns
    -------
    CrossFitted
        Every score is by a model that did not see the network, and the threshold of each
        fold is set on the scores of the others. Strangers are not turned away: the folds are
        alike.
    """
    fewest = min(int(done.good.sum()), int((~done.good).sum()))
    if fewest < MIN_RUNS_PER_CLASS:
        return CrossFitted(
            (), reason=f"needs {MIN_RUNS_PER_CLASS} runs of each outcome, has {fewest}"
        )
    splits = network_splits(done.runs, _SEED)
    if not splits:
        return CrossFitted((), reason="needs runs of two configurations, has those of one")
    every = chosen(looks, lambda reads: reads, lambda reads, step: True)
    loss = alike(looks, LOSS_ALONE)
    wanted = sorted({LOSS_ALONE, *distinct(every)})
    scores = held_out(looks.table, splits, wanted, seed=_SEED, jobs=jobs)
    limits = {
        reads: _thresholds(done, splits, lowest_of(looks.table, scores[reads]), max_false_abort)
        for reads in wanted
    }
    choices = {"loss alone": loss}
    if any(reads != LOSS_ALONE for reads in distinct(every)):
        choices["all channels"] = every
    replays = tuple(
        _replay(looks, choice, scores, limits, f"retrained, {name}")
        for name, choice in choices.items()
    )
    return CrossFitted(replays, _configuration_alone(done, looks, splits, max_false_abort))


def _replay(
    looks: PastLooks,
    choice: Choice,
    scores: dict[tuple[str, ...], FloatArray],
    limits: dict[tuple[str, ...], FloatArray],
    name: str,
) -> Replay:
    """Return the looks, each by the scores and the threshold of what it reads."""
    rows = np.arange(looks.number.size)
    probability = np.full(rows.size, np.nan)
    threshold = np.zeros(rows.size)
    for reads in distinct(choice):
        own = np.array([found == reads for found in choice.reads], dtype=np.bool_)
        probability[own] = scores[reads][own]
        threshold[own] = limits[reads][looks.table.run[own]]
    return arranged(looks, rows, name, probability, np.where(choice.settled, threshold, 0.0))


def _configuration_alone(
    done: Finished,
    looks: PastLooks,
    splits: Sequence[Split],
    max_false_abort: float,
) -> Replay | None:
    """Return the looks of a model that reads what is known of a run before its first step."""
    known = np.array(
        [
            configuration.learning_rate is not None or configuration.weight_decay is not None
            for configuration in done.runs.configurations
        ],
        dtype=np.bool_,
    )
    among = [(fit & known, out & known) for fit, out in splits]
    scores = configuration_alone(done.runs, among, seed=_SEED)
    if not np.isfinite(scores).any():
        return None
    run = looks.table.run
    # A rival: it has the bound in expectation, which lets it stop more and with fewer runs.
    limits = _thresholds(done, splits, scores, max_false_abort, expected_threshold)
    rows = np.arange(run.size)
    return arranged(looks, rows, "configuration alone", scores[run], limits[run])


def _thresholds(
    done: Finished,
    splits: Sequence[Split],
    lowest: FloatArray,
    max_false_abort: float,
    threshold_of: Callable[[FloatArray, float], float | None] = abort_threshold,
) -> FloatArray:
    """Return the threshold for each run, from the lowest scores in the other folds."""
    threshold = np.zeros(len(done))
    runs = done.runs
    for fit, held in splits:
        good = fit & done.good & np.isfinite(lowest)
        scores = independent_scores(lowest[good], runs.configuration[good], runs.network[good])
        threshold[held] = threshold_of(scores, max_false_abort) or 0.0
    return threshold
