"""The classifier: P(generalises by a budget | the first steps of a run)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokpredict.features import signal as loss_features
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.configuration import (
    BUDGET_TERMS,
    CONTEXT_TERMS,
    GRID_TERMS,
    SIZE_TERMS,
    context_terms,
    grid_and_budget,
    has_context,
)
from grokpredict.features.metrics import METRIC_TERMS, Evaluations, metric_terms
from grokpredict.model.familiarity import Familiar
from grokpredict.model.file import (
    ClassifierFileError,
    damaged,
    incompatible,
    read_archive,
    write_archive,
)
from grokpredict.model.looks import LookModel
from grokpredict.model.thresholds import abort_threshold
from grokpredict.model.trees import Trees
from grokpredict.model.validated import ValidatedModels, checked_scores, metric_reasons
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray, IntArray, UnsuitableRunError
from grokpredict.runs.labels import LabelRule

__all__ = [
    "CHANNELS",
    "DEFAULT_HORIZONS",
    "DEFAULT_STRIDES",
    "ClassifierFileError",
    "GrokClassifier",
    "Looks",
    "all_feature_names",
    "columns_read",
    "load_classifier",
]

#: Channels that the features read.
CHANNELS = ("train_loss",)

#: The horizons at which a classifier looks unless it was trained for others.
DEFAULT_HORIZONS = (200, 400, 800, 1600, 3200)

#: The step grids that a classifier knows, as far as the training runs serve them.
DEFAULT_STRIDES = (1, 5, 10, 25, 50, 100)

_PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True, eq=False)
class Looks:
    """What a classifier saw in the first steps of some runs.

    Attributes
    ----------
    probability : ndarray, shape (n_runs,)
        P(generalises by the budget); NaN where the loss is not finite.
    stranger : tuple of (str or None), length n_runs
        Why a run must not be judged; None for a run like the training runs.
    features : ndarray, shape (n_runs, n_features)
        In the order of :attr:`GrokClassifier.feature_names`; NaN where not known or not used.
    with_context : ndarray of bool, shape (n_runs,)
        Whether the configuration was known and read.
    with_validation : ndarray of bool, shape (n_runs,)
        Whether the validation metrics were known and read.
    """

    probability: FloatArray
    stranger: tuple[str | None, ...]
    features: FloatArray
    with_context: NDArray[np.bool_]
    with_validation: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GrokClassifier:
    """A fitted classifier, as plain arrays.

    Parameters
    ----------
    grids : tuple of (int, int)
        The (horizon, stride) pairs that it was trained on.
    rule : LabelRule
        What it takes for having generalised.
    budget : int
        The step by which a run has to generalise where the user names none.
    settings : SignalSettings
        Filters and cut-offs of the features.
    loss_only, with_context : Trees
        The ensemble that reads the loss, and the one that reads the configuration too, which is
        None if the training runs' configurations were not known.
    familiar : Familiar
        What the training runs looked like.
    lowest_scores : mapping of (bool, int) to ndarray
        By with_context and stride: for configurations that generalised and that the fit did not
        see, the lowest probability at any look before they did, as many as are independent of
        each other (:func:`grokpredict.model.thresholds.independent_scores`).
    context_fields : tuple of str
        Fields of :class:`~grokpredict.runs.run.Context` that every training run knew: with one of
        them missing, the loss alone is read.
    card : mapping
        Counts, figures and versions: what :func:`json.dumps` takes.
    validated : ValidatedModels or None
        The same for runs whose validation metrics are known; None if those of too few training
        runs were.
    looks : LookModel or None
        Reads a run's validation at any cadence, to the end of its budget; None if too few
        training runs had any.
    """

    grids: tuple[tuple[int, int], ...]
    rule: LabelRule
    budget: int
    settings: SignalSettings
    loss_only: Trees
    with_context: Trees | None
    familiar: Familiar
    lowest_scores: Mapping[tuple[bool, int], FloatArray]
    context_fields: tuple[str, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    validated: ValidatedModels | None = None
    looks: LookModel | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lowest_scores", MappingProxyType(dict(self.lowest_scores)))
        object.__setattr__(self, "card", MappingProxyType(dict(self.card)))

    def __reduce__(self) -> tuple[type[GrokClassifier], tuple[Any, ...]]:
        """Take it apart for pickling: read-only mappings cannot be pickled."""
        values = (getattr(self, own.name) for own in fields(self))
        plain = (dict(own) if isinstance(own, MappingProxyType) else own for own in values)
        return type(self), tuple(plain)

    def __repr__(self) -> str:
        counts = self.card.get("report", {}).get("counts", {})
        n_runs = counts.get("generalised", 0) + counts.get("not_generalised", 0)
        trained = f", trained on {n_runs} runs" if n_runs else ""
        looks = ", ".join(map(str, self.horizons))
        return f"<GrokClassifier: looks after {looks} steps{trained}>"

    @property
    def horizons(self) -> tuple[int, ...]:
        """Steps after which it looks, ascending."""
        return tuple(sorted({horizon for horizon, _ in self.grids}))

    @property
    def strides(self) -> tuple[int, ...]:
        """Steps between two recorded losses that it was trained for, ascending."""
        return tuple(sorted({stride for _, stride in self.grids}))

    @property
    def models(self) -> tuple[tuple[bool, bool], ...]:
        """What its models read besides the loss: (configuration, validation metrics) of each."""
        return tuple(
            (told, own is self.validated)
            for own in (self, self.validated)
            if own is not None
            for told in ((False, True) if own.with_context is not None else (False,))
        )

    @property
    def loss_feature_names(self) -> tuple[str, ...]:
        """Names of the features of the loss."""
        return tuple(loss_features.feature_names(len(CHANNELS)))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of :attr:`Looks.features`."""
        return all_feature_names()

    def horizons_on(self, stride: int) -> tuple[int, ...]:
        """Return the horizons at which it can look at a loss recorded every ``stride`` steps.

        Raises
        ------
        UnsuitableRunError
            If it was not trained for this grid.
        """
        found = tuple(sorted(horizon for horizon, own in self.grids if own == stride))
        if not found:
            known = ", ".join(map(str, self.strides))
            raise UnsuitableRunError(
                f"the classifier knows losses recorded every {known} steps, not every {stride}; "
                "log on one of these grids, or train a classifier on runs with this one"
            )
        return found

    def look(
        self,
        epochs: FloatArray,
        *,
        horizon: int,
        stride: int = 1,
        configurations: Sequence[Configuration | None] | None = None,
        budget: ArrayLike | None = None,
        evaluations: Sequence[Evaluations | None] | None = None,
    ) -> Looks:
        """Say how likely some runs are to generalise.

        Parameters
        ----------
        epochs : ndarray, shape (n_runs, 1, horizon // stride)
            Training loss of the first ``horizon`` steps, as :func:`grokpredict.runs.run.window`
            cuts it.
        horizon, stride : int
            Steps that the window spans, and between two samples of it.
        configurations : sequence of (Configuration or None), optional
            What is known of each configuration. Where that is less than :attr:`context_fields` the
            loss alone is read.
        budget : int or array of int, shape (n_runs,), optional
            Step by which the runs would have to generalise, the classifier's own by default.
        evaluations : sequence of (Evaluations or None), optional
            Validation metrics so far. Where they do not
            :meth:`~grokpredict.features.metrics.Evaluations.serve` they are not read.

        Returns
        -------
        Looks
            One row a run.

        Raises
        ------
        UnsuitableRunError
            If the classifier was not trained for this horizon and stride.
        ValueError
            If the shapes do not fit, or a budget does not lie beyond the horizon.
        """
        if horizon not in self.horizons_on(stride):
            known = ", ".join(map(str, self.horizons_on(stride)))
            raise UnsuitableRunError(
                f"on a grid of {stride} the classifier looks after {known} steps, not {horizon}"
            )
        samples = np.asarray(epochs, dtype=float)
        if samples.ndim != 3 or samples.shape[1:] != (len(CHANNELS), horizon // stride):
            raise ValueError(
                f"epochs must have the shape (n_runs, {len(CHANNELS)}, {horizon // stride}), "
                f"got {samples.shape}"
            )
        n_runs = len(samples)
        budgets = np.broadcast_to(
            np.asarray(self.budget if budget is None else budget, dtype=float), (n_runs,)
        )
        if not np.all(budgets > horizon):
            raise ValueError(
                f"the budget must lie beyond the horizon of {horizon}, got {budgets.min():.0f}"
            )
        told: list[Configuration | None] = (
            list(configurations) if configurations is not None else [None] * n_runs
        )
        seen: list[Evaluations | None] = (
            list(evaluations) if evaluations is not None else [None] * n_runs
        )
        if not len(told) == len(seen) == n_runs:
            raise ValueError(
                "there must be one configuration and one record of evaluations a run, got "
                f"{len(told)} and {len(seen)} for {n_runs}"
            )
        return self._look(samples, horizon, stride, told, budgets, seen)

    def _look(
        self,
        samples: FloatArray,
        horizon: int,
        stride: int,
        configurations: list[Configuration | None],
        budgets: FloatArray,
        evaluations: list[Evaluations | None],
    ) -> Looks:
        extracted = loss_features.extract(samples, self.settings)
        metrics = self._metrics(extracted, evaluations, horizon)
        with_validation: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(metrics), axis=1)
        told = np.array(
            [has_context(own, self.context_fields) for own in configurations], dtype=np.bool_
        )
        known = [(True, own) in self.models for own in with_validation]
        with_context: NDArray[np.bool_] = np.logical_and(told, known)
        grid_budget = grid_and_budget(horizon, stride, budgets)
        configuration = context_terms(configurations, horizon, budgets)
        configuration[~with_context] = np.nan
        rows = np.column_stack([extracted, grid_budget, metrics, configuration])
        reasons = zip(
            self.familiar.reasons(
                extracted, self.grids.index((horizon, stride)), self.loss_feature_names
            ),
            self.familiar.context_reasons(configuration),
            self.familiar.budget_reasons(grid_budget[:, len(GRID_TERMS) :]),
            metric_reasons(self.validated, metrics),
            strict=True,
        )
        return Looks(
            probability=self.probability(rows, with_context, with_validation),
            stranger=tuple(next(filter(None, found), None) for found in reasons),
            features=rows,
            with_context=with_context,
            with_validation=with_validation,
        )

    def probability(
        self,
        rows: FloatArray,
        with_context: NDArray[np.bool_],
        with_validation: NDArray[np.bool_],
    ) -> FloatArray:
        """Return the probability of rows of :attr:`Looks.features`, each by the model it names."""
        found = np.full(len(rows), np.nan)
        finite = np.isfinite(rows[:, : len(self.loss_feature_names)]).all(axis=1)
        for told, validated in self.models:
            own = self.validated if validated else self
            assert own is not None
            trees = own.with_context if told else own.loss_only
            chosen = finite & (with_context == told) & (with_validation == validated)
            if trees is not None and chosen.any():
                found[chosen] = trees.probability(rows[chosen][:, columns_read(told, validated)])
        return found

    def _metrics(
        self, extracted: FloatArray, evaluations: list[Evaluations | None], horizon: int
    ) -> FloatArray:
        """Return the validation terms; NaN where they are not read."""
        if self.validated is None:
            return np.full((len(extracted), len(METRIC_TERMS)), np.nan)
        start, end = (self.loss_feature_names.index(f"{name}_level") for name in ("start", "end"))
        return metric_terms(evaluations, horizon, extracted[:, start], extracted[:, end])

    def threshold(
        self,
        stride: int,
        *,
        with_context: bool,
        with_validation: bool = False,
        max_false_abort: float,
    ) -> float | None:
        """Return the probability below which a run may be stopped, or None if none may.

        Parameters
        ----------
        stride : int
            Steps between two recorded losses.
        with_context, with_validation : bool
            Whether configuration and validation metrics are read, see :class:`Looks`.
        max_false_abort : float
            Largest share of the generalising runs that may be lost, with 95 % confidence.

        Returns
        -------
        float or None
            As :func:`grokpredict.model.thresholds.abort_threshold`.
        """
        scores = self._scores(stride, with_context, with_validation)
        return abort_threshold(scores, max_false_abort)

    def n_calibration(
        self, stride: int, *, with_context: bool, with_validation: bool = False
    ) -> int:
        """Return how many independent generalising configurations the threshold rests on."""
        return int(self._scores(stride, with_context, with_validation).size)

    def _scores(self, stride: int, with_context: bool, with_validation: bool) -> FloatArray:
        self.horizons_on(stride)
        models = self.validated if with_validation else self
        scores = {} if models is None else models.lowest_scores
        return scores.get((with_context, stride), np.empty(0))

    def save(self, path: str | Path) -> None:
        """Write the classifier to a file; an older one is replaced whole or not at all."""
        header = {
            "channels": CHANNELS,
            "feature_names": self.feature_names,
            "grids": self.grids,
            "rule": asdict(self.rule),
            "budget": self.budget,
            "signal": asdict(self.settings),
            "context_fields": self.context_fields,
            "scores": [[told, stride] for told, stride in self.lowest_scores],
            "validated_scores": [
                [told, stride]
                for told, stride in (self.validated.lowest_scores if self.validated else ())
            ],
            "look_reads": [list(own) for own in self.looks.calibrations] if self.looks else [],
            "card": dict(self.card),
        }
        parts: dict[str, Mapping[str, NDArray[np.generic]]] = {
            "loss_only": self.loss_only.arrays(),
            "with_context": self.with_context.arrays() if self.with_context else {},
            "familiar": self.familiar.arrays(),
            "scores": {str(i): own for i, own in enumerate(self.lowest_scores.values())},
            "validated": self.validated.arrays() if self.validated else {},
            "looks": self.looks.arrays() if self.looks else {},
        }
        arrays = {f"{part}.{name}": a for part, own in parts.items() for name, a in own.items()}
        write_archive(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> GrokClassifier:
        """Read a classifier that :meth:`save` wrote; nothing in the file is executed.

        Raises
        ------
        ClassifierFileError
            If the file is missing, broken, or written by a version that computes other features.
        """
        header, arrays = read_archive(Path(path))
        if header.get("feature_names") != list(all_feature_names()):
            raise incompatible(Path(path), "was trained on features that this version lacks")
        signal = header.get("signal")
        known = sorted(own.name for own in fields(SignalSettings))
        if not isinstance(signal, dict) or sorted(signal) != known:
            raise incompatible(Path(path), "has signal settings that this version lacks")
        try:
            return cls(**_rebuilt(header, arrays))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise damaged(Path(path), error) from error


def _rebuilt(header: dict[str, Any], arrays: dict[str, NDArray[np.generic]]) -> dict[str, Any]:
    """Return the fields of a classifier out of its file, checked."""
    parts: dict[str, dict[str, NDArray[np.generic]]] = {}
    for name, array in arrays.items():
        part, _, own = name.partition(".")
        parts.setdefault(part, {})[own] = array
    grids = tuple((int(horizon), int(stride)) for horizon, stride in header["grids"])
    if not grids or len(set(grids)) < len(grids):
        raise ValueError("it must know some horizons, each once")
    if any(s < 1 or h // s < loss_features.MIN_SAMPLES for h, s in grids):
        raise ValueError(f"its windows must hold {loss_features.MIN_SAMPLES} samples")
    if header["budget"] <= min(grids)[0]:
        raise ValueError("its budget must lie beyond its first horizon")
    n_loss = len(loss_features.feature_names(len(CHANNELS)))
    n_shared = n_loss + len(GRID_TERMS) + len(BUDGET_TERMS)
    n_context = len(CONTEXT_TERMS) - len(SIZE_TERMS)
    context_fields = tuple(header["context_fields"])
    if not set(context_fields) <= {own.name for own in fields(Configuration)}:
        raise ValueError("the configuration must have fields that this version knows")
    scores = {
        (bool(told), int(stride)): checked_scores(parts["scores"][str(i)])
        for i, (told, stride) in enumerate(header["scores"])
    }
    return {
        "grids": grids,
        "rule": LabelRule(**header["rule"]),
        "budget": int(header["budget"]),
        "settings": SignalSettings(**header["signal"]),
        "loss_only": Trees.from_arrays(parts["loss_only"], n_shared),
        "with_context": Trees.from_arrays(parts["with_context"], n_shared + n_context)
        if "with_context" in parts
        else None,
        "familiar": Familiar.from_arrays(parts["familiar"], len(grids), n_loss),
        "lowest_scores": scores,
        "context_fields": context_fields,
        "card": dict(header["card"]),
        "validated": ValidatedModels.from_arrays(
            parts["validated"],
            [(bool(told), int(stride)) for told, stride in header["validated_scores"]],
            n_shared + len(METRIC_TERMS),
            n_context,
        )
        if "validated" in parts
        else None,
        "looks": LookModel.from_arrays(parts["looks"], header["look_reads"])
        if "looks" in parts
        else None,
    }


def all_feature_names() -> tuple[str, ...]:
    """Return the names of all that a classifier reads, in the order of its columns."""
    return (
        *loss_features.feature_names(len(CHANNELS)),
        *GRID_TERMS,
        *BUDGET_TERMS,
        *METRIC_TERMS,
        *CONTEXT_TERMS,
    )


def columns_read(with_context: bool, with_validation: bool) -> IntArray:
    """Return the columns among :func:`all_feature_names` that a model reads."""
    n_metrics, n_context = len(METRIC_TERMS), len(CONTEXT_TERMS)
    n_read = n_context - len(SIZE_TERMS)
    own = np.arange(len(all_feature_names()))
    shared, metrics, configuration = np.split(own, [-n_metrics - n_context, -n_context])
    return np.concatenate(
        [shared, metrics[: n_metrics * with_validation], configuration[: n_read * with_context]]
    )


def load_classifier(which: str | Path | GrokClassifier = "default") -> GrokClassifier:
    """Return a classifier by name or path; ``"default"`` is the one that comes along.

    Parameters
    ----------
    which : str, Path or GrokClassifier
        ``"default"``, a file written by :meth:`GrokClassifier.save`, or a classifier, which is
        returned as it is.
    """
    if isinstance(which, GrokClassifier):
        return which
    if which == "default":
        return GrokClassifier.load(_PRETRAINED / "default.npz")
    return GrokClassifier.load(which)
