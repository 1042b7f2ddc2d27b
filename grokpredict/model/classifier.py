"""The classifier: P(generalises by a budget | the first steps of a run)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokpredict._util.lazy import reporting
from grokpredict.features import window
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.configuration import has_context
from grokpredict.features.metrics import Evaluations, metric_terms
from grokpredict.features.signal import MIN_SAMPLES, extract, feature_names
from grokpredict.features.window import WINDOW_COLUMNS, window_rows
from grokpredict.model.familiarity import Familiar
from grokpredict.model.file import (
    ClassifierFileError,
    damaged,
    incompatible,
    read_archive,
    write_archive,
)
from grokpredict.model.looks import LookModel
from grokpredict.model.reading import (
    CONFIGURATION,
    VALIDATION,
    WINDOW_READS,
    Reader,
    Reads,
    within,
)
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray, IntArray, UnsuitableRunError
from grokpredict.runs.labels import BoolArray, LabelRule

__all__ = [
    "DEFAULT_HORIZONS",
    "DEFAULT_STRIDES",
    "ClassifierFileError",
    "GrokClassifier",
    "Looks",
    "load_classifier",
]

#: The horizons at which a classifier looks unless it was trained for others.
DEFAULT_HORIZONS = (200, 400, 800, 1600, 3200)

#: The step grids that a classifier knows, as far as the training runs serve them.
DEFAULT_STRIDES = (1, 5, 10, 25, 50, 100)

#: Where the level of the loss at the start and at the end of a window is.
_START, _END = (WINDOW_COLUMNS.index(f"{place}_level") for place in ("start", "end"))

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
    reader : ndarray of int, shape (n_runs,)
        Which of :attr:`GrokClassifier.readers` took each look.
    """

    probability: FloatArray
    stranger: tuple[str | None, ...]
    features: FloatArray
    reader: IntArray


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
    familiar : Familiar
        What the training runs looked like.
    readers : tuple of Reader
        The models of windows, in the order of
        :data:`~grokpredict.model.reading.WINDOW_READS`; the first reads the loss alone. Each run is
        read by the last that what is known of it allows.
    context_fields : tuple of str
        Fields of :class:`~grokpredict.runs.configuration.Configuration` that every training run
        knew: with one of them missing, the configuration is not read.
    card : mapping
        Counts, figures and versions: what :func:`json.dumps` takes.
    looks : LookModel or None
        Reads a run's validation at any cadence, to the end of its budget; None if too few
        training runs had any.
    """

    grids: tuple[tuple[int, int], ...]
    rule: LabelRule
    budget: int
    settings: SignalSettings
    familiar: Familiar
    readers: tuple[Reader, ...]
    context_fields: tuple[str, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    looks: LookModel | None = None

    def __post_init__(self) -> None:
        order = [WINDOW_READS.index(reader.reads) for reader in self.readers]
        if order != sorted(set(order)) or order[:1] != [0]:
            raise ValueError("models must be in order, and the first must read the loss alone")
        object.__setattr__(self, "card", MappingProxyType(dict(self.card)))

    def __reduce__(self) -> tuple[type[GrokClassifier], tuple[Any, ...]]:
        """Take it apart for pickling: a read-only mapping cannot be pickled."""
        values = {column.name: getattr(self, column.name) for column in fields(self)}
        return type(self), tuple((values | {"card": dict(self.card)}).values())

    def __repr__(self) -> str:
        counts = self.card.get("report", {}).get("counts", {})
        n_runs = counts.get("generalised", 0) + counts.get("not_generalised", 0)
        trained = f", trained on {n_runs} runs" if n_runs else ""
        looks = ", ".join(map(str, self.horizons))
        return f"<GrokClassifier: looks after {looks} steps{trained}>"

    def _repr_html_(self) -> str:
        return str(reporting().classifier_html(self))

    @property
    def horizons(self) -> tuple[int, ...]:
        """Steps after which it looks, ascending."""
        return tuple(sorted({horizon for horizon, _ in self.grids}))

    @property
    def strides(self) -> tuple[int, ...]:
        """Steps between two recorded losses that it was trained for, ascending."""
        return tuple(sorted({stride for _, stride in self.grids}))

    @property
    def reads_validation(self) -> bool:
        """Whether some model of windows reads the validation metrics."""
        return any(VALIDATION[0] in reader.reads for reader in self.readers)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of :attr:`Looks.features`."""
        return WINDOW_COLUMNS

    def horizons_on(self, stride: int) -> tuple[int, ...]:
        """Return the horizons at which it can look at a loss recorded every ``stride`` steps.

        Raises
        ------
        UnsuitableRunError
            If it was not trained for this grid.
        """
        horizons = tuple(sorted(horizon for horizon, of_grid in self.grids if of_grid == stride))
        if not horizons:
            strides = ", ".join(map(str, self.strides))
            raise UnsuitableRunError(
                f"the classifier knows losses recorded every {strides} steps, not every {stride}; "
                "log on one of these grids, or train a classifier on runs with this one"
            )
        return horizons

    def look(
        self,
        losses: FloatArray,
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
        losses : ndarray, shape (n_runs, horizon // stride)
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
            horizons = ", ".join(map(str, self.horizons_on(stride)))
            raise UnsuitableRunError(
                f"on a grid of {stride} the classifier looks after {horizons} steps, not {horizon}"
            )
        samples = np.asarray(losses, dtype=float)
        if samples.ndim != 2 or samples.shape[1] != horizon // stride:
            raise ValueError(
                f"losses must have the shape (n_runs, {horizon // stride}), got {samples.shape}"
            )
        n_runs = len(samples)
        budgets = np.broadcast_to(
            np.asarray(self.budget if budget is None else budget, dtype=float), (n_runs,)
        )
        if not np.all(budgets > horizon):
            raise ValueError(
                f"the budget must lie beyond the horizon of {horizon}, got {budgets.min():.0f}"
            )
        contexts = list(configurations) if configurations is not None else [None] * n_runs
        metrics = list(evaluations) if evaluations is not None else [None] * n_runs
        if not len(contexts) == len(metrics) == n_runs:
            raise ValueError(
                "there must be one configuration and one record of evaluations a run, got "
                f"{len(contexts)} and {len(metrics)} for {n_runs}"
            )
        return self._look(samples, horizon, stride, contexts, budgets, metrics)

    def _look(
        self,
        samples: FloatArray,
        horizon: int,
        stride: int,
        configurations: Sequence[Configuration | None],
        budgets: FloatArray,
        evaluations: Sequence[Evaluations | None],
    ) -> Looks:
        if not self.reads_validation:
            evaluations = [None] * len(samples)
        loss = extract(samples, self.settings)
        metrics = metric_terms(evaluations, horizon, loss[:, _START], loss[:, _END])
        rows = window_rows(loss, horizon, stride, budgets, metrics, configurations)
        fields_known = [has_context(of_run, self.context_fields) for of_run in configurations]
        reader = self._reader_of(np.array(fields_known, dtype=np.bool_), metrics)
        unread = [i for i, model in enumerate(self.readers) if CONFIGURATION not in model.reads]
        rows[np.isin(reader, unread), window.CONFIGURATION] = np.nan
        reasons = zip(
            self.familiar.reasons(loss, self.grids.index((horizon, stride)), WINDOW_COLUMNS),
            self.familiar.context_reasons(rows[:, window.CONFIGURATION]),
            self.familiar.budget_reasons(rows[:, window.BUDGET]),
            self.familiar.metric_reasons(metrics),
            strict=True,
        )
        return Looks(
            probability=self.probability(rows, reader),
            stranger=tuple(next(filter(None, of_run), None) for of_run in reasons),
            features=rows,
            reader=reader,
        )

    def _reader_of(self, configured: BoolArray, metrics: FloatArray) -> IntArray:
        """Return the last model that what is known of each run allows."""
        evaluated = np.isfinite(metrics).all(axis=1)
        of_run = np.zeros(len(metrics), dtype=np.int64)
        for i, reader in enumerate(self.readers):
            allows = np.ones(len(metrics), dtype=np.bool_)
            if CONFIGURATION in reader.reads:
                allows &= configured
            if VALIDATION[0] in reader.reads:
                allows &= evaluated
            of_run[allows] = i
        return of_run

    def probability(self, rows: FloatArray, reader: IntArray) -> FloatArray:
        """Return the probability of rows of :attr:`Looks.features`, each by the model it names."""
        chance = np.full(len(rows), np.nan)
        finite = np.isfinite(rows[:, window.LOSS]).all(axis=1)
        for i, model in enumerate(self.readers):
            chosen = finite & (reader == i)
            if chosen.any():
                chance[chosen] = model.probability(rows[chosen])
        return chance

    def threshold(self, reads: Reads, stride: int, max_false_abort: float) -> float | None:
        """Return the probability below which a run may be stopped, or None if none may.

        Parameters
        ----------
        reads : tuple of str
            What the looks read, one of :data:`~grokpredict.model.reading.WINDOW_READS`.
        stride : int
            Steps between two recorded losses.
        max_false_abort : float
            Largest share of the generalising runs that may be lost, with 95 % confidence.

        Raises
        ------
        UnsuitableRunError
            If the classifier was not trained for this grid.
        """
        self.horizons_on(stride)
        reader = self._reading(reads)
        return None if reader is None else reader.threshold(stride, max_false_abort)

    def n_calibration(self, reads: Reads, stride: int) -> int:
        """Return how many independent good configurations the threshold rests on."""
        reader = self._reading(reads)
        return 0 if reader is None else reader.n_calibration(stride)

    def _reading(self, reads: Reads) -> Reader | None:
        return next((reader for reader in self.readers if reader.reads == reads), None)

    def save(self, path: str | Path) -> None:
        """Write the classifier to a file; an older one is replaced whole or not at all."""
        header = {
            "feature_names": self.feature_names,
            "grids": self.grids,
            "rule": asdict(self.rule),
            "budget": self.budget,
            "signal": asdict(self.settings),
            "context_fields": self.context_fields,
            "readers": [
                {"reads": reader.reads, "strides": list(reader.scores)} for reader in self.readers
            ],
            "look_reads": [list(reads) for reads in self.looks.calibrations] if self.looks else [],
            "card": dict(self.card),
        }
        parts: dict[str, Mapping[str, NDArray[np.generic]]] = {
            "familiar": self.familiar.arrays(),
            "looks": self.looks.arrays() if self.looks else {},
        }
        parts |= {f"readers.{i}": reader.arrays() for i, reader in enumerate(self.readers)}
        arrays = {
            f"{part}.{name}": array
            for part, members in parts.items()
            for name, array in members.items()
        }
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
        if header.get("feature_names") != list(WINDOW_COLUMNS):
            raise incompatible(Path(path), "was trained on features that this version lacks")
        signal = header.get("signal")
        settings = sorted(setting.name for setting in fields(SignalSettings))
        if not isinstance(signal, dict) or sorted(signal) != settings:
            raise incompatible(Path(path), "has signal settings that this version lacks")
        try:
            return cls(**_rebuilt(header, arrays))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise damaged(Path(path), error) from error


def _rebuilt(header: dict[str, Any], arrays: dict[str, NDArray[np.generic]]) -> dict[str, Any]:
    """Return the fields of a classifier out of its file, checked."""
    grids = tuple((int(horizon), int(stride)) for horizon, stride in header["grids"])
    if not grids or len(set(grids)) < len(grids):
        raise ValueError("it must know some horizons, each once")
    if any(stride < 1 or horizon // stride < MIN_SAMPLES for horizon, stride in grids):
        raise ValueError(f"its windows must hold {MIN_SAMPLES} samples")
    if header["budget"] <= min(grids)[0]:
        raise ValueError("its budget must lie beyond its first horizon")
    context_fields = tuple(header["context_fields"])
    if not set(context_fields) <= {known.name for known in fields(Configuration)}:
        raise ValueError("the configuration must have fields that this version knows")
    readers = tuple(
        Reader.from_arrays(
            within(arrays, f"readers.{i}"),
            tuple(entry["reads"]),
            [int(stride) for stride in entry["strides"]],
        )
        for i, entry in enumerate(header["readers"])
    )
    looks = within(arrays, "looks")
    return {
        "grids": grids,
        "rule": LabelRule(**header["rule"]),
        "budget": int(header["budget"]),
        "settings": SignalSettings(**header["signal"]),
        "familiar": Familiar.from_arrays(
            within(arrays, "familiar"), len(grids), len(feature_names())
        ),
        "readers": readers,
        "context_fields": context_fields,
        "card": dict(header["card"]),
        "looks": LookModel.from_arrays(looks, header["look_reads"]) if looks else None,
    }


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
