"""What a ledger tells a new run: the threshold of this sweep, and whether it may be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grokpredict.live.entry import Entry
from grokpredict.live.ledger import fraction_of
from grokpredict.model.betting import (
    capital_against,
    capital_on_low_ranks,
    rank_values,
)
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads
from grokpredict.model.thresholds import runs_needed_in_expectation
from grokpredict.runs.curve import FloatArray

#: Probability with which each of the two alarms ever rings while nothing is wrong.
ALARM_LEVEL = 0.025


@dataclass(frozen=True)
class Alarm:
    """Why a ledger must not stop runs.

    Attributes
    ----------
    cause : str
        A clause: what was seen, and what to do.
    name : str
        Of the run with which it rang.
    runs : int
        Runs that were compared up to then.
    """

    cause: str
    name: str
    runs: int


@dataclass(frozen=True)
class Terms:
    """What holds for a run.

    Attributes
    ----------
    threshold : float or None
        Probability below which a verdict is abort; None if none is.
    calibrated : bool
        Whether the threshold is that of enough good runs of this sweep.
    source : str
        Where the threshold comes from, for people.
    warns : str or None
        Why an abort only warns; None if it stops a run that is not audited.
    """

    threshold: float | None
    calibrated: bool
    source: str
    warns: str | None


@dataclass(frozen=True, eq=False)
class Standing:
    """A ledger as a run finds it when it begins.

    Attributes
    ----------
    number : int
        Of the run that begins now.
    max_false_abort : float
        Largest share of good runs that may be lost.
    alarm : Alarm or None
        Why nothing may be stopped.
    scores : mapping of Reads to ndarray
        By the channels that were read, what :func:`good_scores` returns.
    """

    number: int
    max_false_abort: float
    alarm: Alarm | None
    scores: Mapping[Reads, FloatArray]

    @classmethod
    def of(cls, entries: Sequence[Entry], max_false_abort: float) -> Standing:
        """Return how a ledger stands with these entries, in the order in which the runs began."""
        return cls(
            1 + max((entry.number for entry in entries), default=0),
            max_false_abort,
            alarm(entries, max_false_abort),
            {reads: good_scores(entries, reads) for reads in {entry.reads for entry in entries}},
        )

    def terms(self, reads: Reads, calibration: Calibration | None) -> Terms:
        """Return the threshold for a run, and whether it may be stopped.

        Parameters
        ----------
        reads : tuple of str
            Channels that the looks at the run read.
        calibration : Calibration or None
            Of the classifier for them; the scores of this sweep join it as those of
            :func:`grokpredict.calibrate` do.
        """
        scores = self.scores.get(reads, np.empty(0))
        joined = replace(calibration or Calibration(np.empty(0)), user=scores)
        threshold = joined.threshold(self.max_false_abort)
        needed = runs_needed_in_expectation(self.max_false_abort)
        source = (
            f"from {scores.size} good configuration{'' if scores.size == 1 else 's'} of this sweep"
        )
        warns = None
        if self.alarm is not None:
            warns = f"the ledger only warns, since {self.alarm.cause}"
        elif scores.size < needed:
            source = f"built-in, and {source}" if scores.size else "built-in"
            warns = (
                f"the ledger only warns until {needed} good configurations have finished, "
                f"{scores.size} have"
            )
        return Terms(threshold, scores.size >= needed, source, warns)


def good_scores(entries: Sequence[Entry], reads: Reads) -> FloatArray:
    """Return the lowest score of each good configuration that no verdict could stop.

    Parameters
    ----------
    entries : sequence of Entry
        Those that read something else, or that were never judged, are left out.
    reads : tuple of str
        Channels that the looks read.

    Returns
    -------
    ndarray, shape (n_configurations,)
        Ascending. Of the repetitions of a configuration the lowest counts.

    Notes
    -----
    Of the runs that could be stopped only those with higher scores finish: a threshold that they
    help to set rises with each, until an audited run is lost. Weighting that one by 1 / share makes
    up for it in the mean of the shares, not of the thresholds: 240 simulated sweeps lost 5.4 %
    with it at a bound of 5 %, and 3.8 % without it (docs/ledger.md).
    """
    lowest: dict[str, float] = {}
    for entry in entries:
        score = entry.lowest
        if entry.good and entry.free and score is not None and entry.reads == reads:
            key = entry.configuration_key
            lowest[key] = min(lowest.get(key, np.inf), score)
    return np.array(sorted(lowest.values()))


def seen_good(entries: Sequence[Entry]) -> list[Entry]:
    """Return the good runs that could have been lost, in the order in which they ended.

    Those are left out that began before enough others had finished: a built-in threshold is
    warned by only, and another once these runs have set their own.
    """
    found = [entry for entry in entries if entry.good and entry.at_risk]
    return sorted(found, key=lambda entry: (entry.ended or 0, fraction_of(entry.name, "order")))


def alarm(entries: Sequence[Entry], max_false_abort: float) -> Alarm | None:
    """Return why runs must not be stopped; None if nothing speaks against it.

    Parameters
    ----------
    entries : sequence of Entry
        In the order in which the runs began.
    max_false_abort : float
        Largest share of good runs that may be lost.

    Notes
    -----
    Two tests, each of which ever rings with at most :data:`ALARM_LEVEL` while all is well, and goes
    on ringing once it has: of the good runs whose end was seen, more are lost than allowed
    (:func:`~grokpredict.model.betting.capital_against`); at the first look that gives a
    probability, which no verdict has touched yet, the newest runs score lower than the earlier ones
    (:func:`~grokpredict.model.betting.capital_on_low_ranks`). Runs that score higher are no cause
    for alarm: a sampler that finds better configurations brings them about.
    """
    good = seen_good(entries)
    lost = np.array([entry.aborted is not None for entry in good], dtype=np.bool_)
    seen = np.array([entry.seen for entry in good])
    place = _first_at(capital_against(lost, seen, max_false_abort))
    if place is not None:
        cause = (
            f"{int(lost[: place + 1].sum())} of {place + 1} good runs whose end was seen would "
            f"have been lost, which {100 * max_false_abort:.4g} % does not allow; resume the runs "
            "that were stopped, and begin another ledger"
        )
        return Alarm(cause, good[place].name, place + 1)
    judged = [entry for entry in entries if entry.judged]
    first = [float(entry.judged[0].probability or 0.0) for entry in judged]
    ties = [fraction_of(entry.name, "tie") for entry in judged]
    place = _first_at(capital_on_low_ranks(rank_values(first, ties)))
    if place is not None:
        cause = (
            f"the newest of {place + 1} runs score lower at their first look than the earlier "
            "ones; run the sweep in random order, or begin another ledger for what has changed"
        )
        return Alarm(cause, judged[place].name, place + 1)
    return None


def _first_at(capital: FloatArray) -> int | None:
    rings = np.flatnonzero(capital >= 1 / ALARM_LEVEL)
    return int(rings[0]) if rings.size else None
