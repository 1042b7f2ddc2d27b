"""Whether a run is so unlike the training runs that it must not be judged by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.configuration import BUDGET_TERMS, CONTEXT_TERMS
from grokpredict.features.metrics import METRIC_TERMS
from grokpredict.features.window import BUDGET, CONFIGURATION, METRICS
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray

#: A loss feature may leave the training range by this share of the range's width.
RANGE_MARGIN = 0.5

#: A context term may leave the training range by this much: half a decade, a factor of three.
CONTEXT_MARGIN = 0.5

#: The budget may exceed the largest training budget by this much: a factor of two. Beyond it the
#: probability is that of a smaller budget, too low, and good runs would be lost.
BUDGET_MARGIN = 0.3

#: Standardised features beyond this count as this much in the distance: the range has its say.
_CLIP = 8.0

#: No distance turns anybody away: the value of a limit that nothing was held out for.
_FARTHEST = 1e300

#: Share of the calibration looks that the distance may turn away.
TURNED_AWAY = 0.001

#: Products of the terms that are checked already.
_PRODUCTS = ("log10_lr_wd_budget", "log10_lr_budget", "log10_lr_wd_horizon")


@dataclass(frozen=True, eq=False)
class Familiar:
    """What the training runs looked like.

    Parameters
    ----------
    centre, scale : ndarray, shape (n_grids, n_features)
        Median and robust standard deviation of each loss feature on each (horizon, stride).
    low, high : ndarray, shape (n_grids, n_features)
        Smallest and largest value in training.
    precision : ndarray, shape (n_features, n_features)
        Inverse of the shrunk covariance of the standardised features.
    limit : ndarray, shape (1,)
        Squared Mahalanobis distance that one calibration look in a thousand exceeds.
    context_low, context_high : ndarray, shape (n_context_terms,)
        Range of each context term in training; NaN where it was never known.
    budget_high : ndarray, shape (n_budget_terms,)
        Largest budget terms in training.
    metric_low, metric_high : ndarray, shape (n_metric_terms,)
        Range of each validation term in training; NaN where they were not learned from.
    """

    centre: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray
    precision: FloatArray
    limit: FloatArray
    context_low: FloatArray
    context_high: FloatArray
    budget_high: FloatArray
    metric_low: FloatArray
    metric_high: FloatArray

    def distance(self, features: FloatArray, grid: int) -> FloatArray:
        """Return the squared Mahalanobis distance of each row, shape (n_runs,)."""
        z = self._standardised(features, grid)
        return np.asarray(np.einsum("ij,jk,ik->i", z, self.precision, z))

    def _standardised(self, features: FloatArray, grid: int) -> FloatArray:
        z = (features - self.centre[grid]) / self.scale[grid]
        return np.asarray(np.clip(z, -_CLIP, _CLIP))

    def reasons(
        self, features: FloatArray, grid: int, names: Sequence[str]
    ) -> tuple[str | None, ...]:
        """Say of each run what about its loss is strange; None of a familiar one.

        Parameters
        ----------
        features : ndarray, shape (n_runs, n_features)
            Loss features; NaN marks a loss that is not finite.
        grid : int
            Row of the (horizon, stride) among the fitted ones.
        names : sequence of str
            Names of the features.
        """
        finite: BoolArray = np.logical_and.reduce(np.isfinite(features), axis=1)
        safe = np.where(finite[:, None], features, self.centre[grid])
        width = self.high[grid] - self.low[grid]
        # A feature that was constant in training may move by its scale.
        margin = RANGE_MARGIN * np.maximum(width, self.scale[grid])
        excess = np.maximum(self.low[grid] - margin - safe, safe - self.high[grid] - margin)
        far: BoolArray = np.greater(self.distance(safe, grid), self.limit)
        z = np.abs(self._standardised(safe, grid))
        sentences: list[str | None] = [None] * len(features)
        beyond: BoolArray = np.greater(excess, 0)
        for row in np.flatnonzero(~finite | far | np.logical_or.reduce(beyond, axis=1)):
            if not finite[row]:
                sentences[row] = "the loss has values that are not finite"
                continue
            outside = beyond[row]
            worst = int(np.argmax(np.where(outside, excess[row] / np.maximum(width, 1e-300), -1.0)))
            if not outside.any():
                worst = int(np.argmax(z[row]))
            kind = "is outside" if outside.any() else "in this combination is unlike"
            sentences[row] = (
                f"the loss is unlike those of the training runs: {names[worst]} = "
                f"{safe[row, worst]:.3g} {kind} their {self.low[grid, worst]:.3g} to "
                f"{self.high[grid, worst]:.3g}"
            )
        return tuple(sentences)

    def context_reasons(self, terms: FloatArray) -> tuple[str | None, ...]:
        """Say of each run which context term lies far outside the training runs'.

        Parameters
        ----------
        terms : ndarray, shape (n_runs, n_context_terms)
            NaN where a term is not known, which is never strange.
        """
        checked = np.array([name not in _PRODUCTS for name in CONTEXT_TERMS])
        outside = (terms < self.context_low - CONTEXT_MARGIN) | (
            terms > self.context_high + CONTEXT_MARGIN
        )
        return tuple(
            None
            if not hits.any()
            else _context_reason(int(np.argmax(hits)), row, self.context_low, self.context_high)
            for row, hits in zip(terms, outside & checked, strict=True)
        )

    def budget_reasons(self, terms: FloatArray) -> tuple[str | None, ...]:
        """Say of each run whether its budget is far beyond the training runs'.

        Parameters
        ----------
        terms : ndarray, shape (n_runs, n_budget_terms)
            As :data:`grokpredict.features.configuration.BUDGET_TERMS`.
        """
        beyond = terms > self.budget_high + BUDGET_MARGIN
        return tuple(
            f"the budget of {10 ** row[0]:.0f} steps is far beyond the training runs', "
            f"which were watched for {10 ** self.budget_high[0]:.0f}"
            if hit.any()
            else None
            for row, hit in zip(terms, beyond, strict=True)
        )

    def metric_reasons(self, terms: FloatArray) -> tuple[str | None, ...]:
        """Say of each run which validation term lies far outside the training runs'.

        Parameters
        ----------
        terms : ndarray, shape (n_runs, n_metric_terms)
            NaN where they are not read, which is never strange.
        """
        low, high = self.metric_low, self.metric_high
        margin = RANGE_MARGIN * (high - low)
        outside: BoolArray = np.logical_or(terms < low - margin, terms > high + margin)
        reasons: list[str | None] = [None] * len(terms)
        for row in np.flatnonzero(np.logical_or.reduce(outside, axis=1)):
            column = int(np.argmax(outside[row]))
            reasons[row] = (
                "the validation metrics are unlike those of the training runs: "
                f"{METRIC_TERMS[column]} = {terms[row, column]:.3g}, "
                f"theirs was {low[column]:.3g} to {high[column]:.3g}"
            )
        return tuple(reasons)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[np.generic]], n_grids: int, n_features: int
    ) -> Familiar:
        """Rebuild from :meth:`arrays`; ValueError if a shape or value is impossible."""
        shapes = {
            **dict.fromkeys(("centre", "scale", "low", "high"), (n_grids, n_features)),
            "precision": (n_features, n_features),
            "limit": (1,),
            **dict.fromkeys(("context_low", "context_high"), (len(CONTEXT_TERMS),)),
            "budget_high": (len(BUDGET_TERMS),),
            **dict.fromkeys(("metric_low", "metric_high"), (len(METRIC_TERMS),)),
        }
        parts = {}
        for name, shape in shapes.items():
            parts[name] = arrays[name].astype(np.float64)
            if parts[name].shape != shape:
                raise ValueError(f"{name} must have the shape {shape}, got {parts[name].shape}")
            if not name.startswith(("context", "metric")) and not np.all(np.isfinite(parts[name])):
                raise ValueError(f"{name} must be finite")
        if np.any(parts["metric_low"] > parts["metric_high"]):
            raise ValueError("the range of the validation terms must have ends in order")
        if np.any(parts["scale"] <= 0):
            raise ValueError("scales must be above zero")
        return cls(**parts)


def fit_familiar(
    fitted: Sequence[FloatArray],
    held: Sequence[FloatArray],
    rows: FloatArray,
    *,
    read_metrics: bool = False,
) -> Familiar:
    """Learn what training runs look like.

    Parameters
    ----------
    fitted, held : sequence of ndarray, shape (n_windows, n_features)
        Finite loss features on each (horizon, stride), of the runs in the fit and of others.
    rows : ndarray, shape (n_rows, n_columns)
        Of the training table, as :data:`grokpredict.features.window.WINDOW_COLUMNS`.
    read_metrics : bool
        Whether a model reads the validation terms.
    """
    # Training keeps them as float32.
    fitted, held = (
        [np.asarray(features, dtype=np.float64) for features in part] for part in (fitted, held)
    )
    stacked = [np.quantile(features, [0.25, 0.5, 0.75], axis=0) for features in fitted]
    centre = np.array([median for _, median, _ in stacked])
    robust = np.array([(upper - lower) / 1.349 for lower, _, upper in stacked])
    spread = np.array([features.std(axis=0) for features in fitted])
    # A feature that is the same for half of the runs has no quartiles to speak of.
    scale = np.maximum(np.maximum(robust, 0.3 * spread), 1e-9)
    context_low, context_high = _range(rows[:, CONFIGURATION])
    metrics = rows[:, METRICS]
    metric_low, metric_high = _range(metrics if read_metrics else np.full_like(metrics, np.nan))
    draft = Familiar(
        centre=centre,
        scale=scale,
        low=np.array([features.min(axis=0) for features in fitted]),
        high=np.array([features.max(axis=0) for features in fitted]),
        precision=np.eye(centre.shape[1]),
        limit=np.array([np.inf]),
        context_low=context_low,
        context_high=context_high,
        budget_high=rows[:, BUDGET].max(axis=0),
        metric_low=metric_low,
        metric_high=metric_high,
    )
    z = np.concatenate(
        [draft._standardised(features, grid) for grid, features in enumerate(fitted)]
    )
    covariance = z.T @ z / len(z)
    # Shrunk to its diagonal, so that features that move together do not make it singular.
    shrunk = 0.9 * covariance + 0.1 * np.diag(np.maximum(np.diag(covariance), 1e-6))
    familiar = replace(draft, precision=np.linalg.inv(shrunk))
    distances = np.concatenate(
        [familiar.distance(features, grid) for grid, features in enumerate(held)]
    )
    limit = np.quantile(distances, 1 - TURNED_AWAY) if distances.size else np.inf
    return replace(familiar, limit=np.array([min(limit, _FARTHEST)]))


def _range(terms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of each column, NaN where it was never known."""
    unknown = np.isnan(terms).all(axis=0)
    full = np.where(unknown, 0.0, terms)
    low, high = (np.where(unknown, np.nan, end(full, axis=0)) for end in (np.nanmin, np.nanmax))
    return low, high


def _context_reason(column: int, row: FloatArray, low: FloatArray, high: FloatArray) -> str:
    name = CONTEXT_TERMS[column]
    if name.startswith("optimizer_"):
        return (
            "the configuration is unlike those of the training runs: "
            f"its kind of optimiser ({name.removeprefix('optimizer_')}) was not among them"
            if row[column]
            else "the configuration is unlike those of the training runs: all of them used "
            f"{name.removeprefix('optimizer_')}"
        )
    return (
        f"the configuration is unlike those of the training runs: {name} = {row[column]:.3g}, "
        f"theirs was {low[column]:.3g} to {high[column]:.3g}"
    )
