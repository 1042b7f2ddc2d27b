"""Whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.accounting import clopper_pearson
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.ranking import Interval

#: Equally wide bins between 0 and 1.
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Looks whose probability lies in one bin.

    Attributes
    ----------
    low, high : float
        The bin; the upper end belongs to the next one, but 1 to the last.
    n : int
        Looks in it.
    predicted : float
        Mean probability.
    observed : Interval
        Share of their runs that generalised, with the Clopper-Pearson interval.
    """

    low: float
    high: float
    n: int
    predicted: float
    observed: Interval


@dataclass(frozen=True)
class Reliability:
    """A reliability table.

    Attributes
    ----------
    bins : tuple of Bin
        Those with a look in them.
    calibration_error : float or None
        Mean over the looks of the distance between predicted and observed share in their bin.
    """

    bins: tuple[Bin, ...]
    calibration_error: float | None


def reliability(probability: FloatArray, generalised: BoolArray) -> Reliability:
    """Compare probabilities with what happened.

    Parameters
    ----------
    probability : ndarray, shape (n_looks,)
        Finite.
    generalised : ndarray of bool, shape (n_looks,)
        Whether the run generalised by its budget.

    Returns
    -------
    Reliability
        The expected calibration error is that of Naeini, Cooper & Hauskrecht 2015, "Obtaining
        well calibrated probabilities using Bayesian binning", AAAI.

    Examples
    --------
    >>> table = reliability(np.array([0.1, 0.1, 0.8]), np.array([False, True, True]))
    >>> [each.n for each in table.bins], round(table.calibration_error, 3)
    ([2, 1], 0.333)
    """
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    bins = []
    for i in np.unique(place):
        own = place == i
        n = int(own.sum())
        bins.append(
            Bin(
                low=float(i / BINS),
                high=float((i + 1) / BINS),
                n=n,
                predicted=float(probability[own].mean()),
                observed=clopper_pearson(int(generalised[own].sum()), n),
            )
        )
    gaps = [each.n * abs(each.predicted - (each.observed.value or 0.0)) for each in bins]
    error = sum(gaps) / probability.size if probability.size else None
    return Reliability(tuple(bins), error)
