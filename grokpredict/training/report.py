"""What a classifier was trained on, and how good it is on runs that it did not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from grokpredict.model.channels import Reads
from grokpredict.training.outcomes import Unused
from grokpredict.training.ranking import Interval


@dataclass(frozen=True)
class Counts(Unused):
    """What became of the runs of a sweep, with those of :class:`Unused`.

    Attributes
    ----------
    too_few_samples : int
        No look in time, before they generalise or their budget, can read their training loss.
    early : int
        Had generalised by the first look, however dense their logs.
    generalised, not_generalised : int
        Used.
    configurations : int
        Different configurations among the used ones.
    networks : int
        Different networks among them; 0 where these are not known or are too few.
    budgets : mapping of str to int
        Runs whose outcome is known, by where their budget comes from.
    """

    too_few_samples: int
    early: int
    generalised: int
    not_generalised: int
    configurations: int
    networks: int
    budgets: Mapping[str, int]


@dataclass(frozen=True)
class LookFigures:
    """Ranking at one look, of runs on networks that no fit saw.

    Attributes
    ----------
    step : int
        Where the look is.
    reads : str
        What was read: ``"training loss"`` (and its spectral signature), ``"with validation"``
        (all channels that a run has), ``"signature alone"`` (a classifier of that and the budget),
        ``"activity"`` of the first 400 losses, the forecast of Notsawo et al. 2023.
    n_runs, n_generalised : int
        Runs that were looked at, and those of them that generalised by their budget.
    auroc : Interval
        Area under the receiver operating characteristic.
    configuration_auroc : Interval
        The same trees on the configuration and the budget alone, same runs and splits.
    lead : Interval
        The first minus the second, paired.
    """

    step: int
    reads: str
    n_runs: int
    n_generalised: int
    auroc: Interval
    configuration_auroc: Interval
    lead: Interval


@dataclass(frozen=True)
class Account:
    """What a rule would have done to runs whose kind of task, or network, it did not see.

    Attributes
    ----------
    name : str
        The rule.
    lost, n_generalised : int
        Good runs that were stopped before they generalised, and good runs that were looked at.
    worst : float or None
        Largest share lost of a kind of task with ten good runs or more.
    worst_family : str or None
        Which that is.
    mean_lost : float or None
        Mean over these kinds.
    saved : float or None
        Steps of doomed runs after their stop, as a share of stopping all of them at step 200.
    """

    name: str
    lost: int
    n_generalised: int
    worst: float | None
    worst_family: str | None
    mean_lost: float | None
    saved: float | None


@dataclass(frozen=True)
class TrainingReport:
    """What a classifier was trained on, and how good it is on what it did not see.

    Attributes
    ----------
    counts : Counts
        What became of the sweep's runs.
    figures : tuple of LookFigures
        At every octave, on networks left out.
    accounts : tuple of Account
        As shipped beside ``EarlyStopping``, both with settings from the other kinds of task where
        the splits leave out kinds, else from the other networks.
    kinds_left_out : bool
        Which of these it was.
    usual_reads : tuple of str
        What most runs of the sweep are read by; empty where no run logs enough of validation.
    calibration : mapping of str to int
        Generalising configurations behind each threshold, as many as are independent of each
        other, by the channels read.
    """

    counts: Counts
    figures: tuple[LookFigures, ...]
    accounts: tuple[Account, ...]
    kinds_left_out: bool
    usual_reads: Reads
    calibration: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what :func:`json.dumps` takes."""
        return asdict(self)
