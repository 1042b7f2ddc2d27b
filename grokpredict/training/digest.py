"""What training keeps of a run: its outcome, its configuration, the features of its first steps.

That is a hundredth of the curves, so a sweep of any size is worked through a few runs at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features import signal as loss_features
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.metrics import METRIC_TERMS, Evaluations, metric_terms
from grokpredict.features.profile import Bins
from grokpredict.model.classifier import DEFAULT_HORIZONS, DEFAULT_STRIDES
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import IntArray, serves
from grokpredict.runs.labels import LabelRule, Outcome, outcome, rule_of
from grokpredict.runs.run import Run, window
from grokpredict.training.looks import binned

#: Hyperparameters that name the kind of task, for leaving one out.
FAMILY_KEYS = ("family", "task")

#: Runs whose windows are in memory at once.
CHUNK = 256

#: Horizon and stride of a window, in steps.
Pair = tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """How a digest is made of runs.

    Attributes
    ----------
    horizons : tuple of int
        Steps that windows span.
    strides : tuple of int or None
        Step grids; the usual ones and the runs' own if None.
    rule : LabelRule or None
        What it takes for having generalised, what each run says if None.
    settings : SignalSettings
        Filters and cut-offs.
    """

    horizons: tuple[int, ...] = DEFAULT_HORIZONS
    strides: tuple[int, ...] | None = None
    rule: LabelRule | None = None
    settings: SignalSettings = field(default_factory=SignalSettings)

    def pairs(self, strides_of_runs: Iterable[int]) -> list[Pair]:
        """Return the windows for runs with these strides."""
        strides = {*DEFAULT_STRIDES, *strides_of_runs} if self.strides is None else self.strides
        return pairs_of(self.horizons, strides)


@dataclass(frozen=True, slots=True)
class Facts:
    """One run without its curves.

    Attributes
    ----------
    name : str
        Its path.
    configuration : Configuration
        What is known of it before its first step.
    configuration_key : str
        Repetitions of one configuration have the same.
    fingerprint : str
        See :func:`fingerprint`.
    family : str or None
        Kind of task, where the hyperparameters tell it.
    planned : int or None
        Steps for which it was planned.
    budget_source : str
        Where that comes from.
    last_step : int
        The last one at which anything was recorded.
    stride : int
        Steps between two losses.
    rule : LabelRule
        By which it is labelled.
    outcome : Outcome or None
        None if no validation metric tells.
    sha256 : bytes
        Of the curves and the configuration.
    """

    name: str
    configuration: Configuration
    configuration_key: str
    fingerprint: str
    family: str | None
    planned: int | None
    budget_source: str
    last_step: int
    stride: int
    rule: LabelRule
    outcome: Outcome | None
    sha256: bytes


@dataclass(frozen=True, eq=False)
class Windows:
    """The features of one window, of the runs whose log serves it.

    Attributes
    ----------
    run : ndarray of int, shape (n_windows,)
        Which runs, ascending.
    features : ndarray of float32, shape (n_windows, n_features + n_metric_terms)
        Of the loss, NaN where it was not finite, and then of the validation metrics, NaN where
        they are not known. All are logarithms and shares, for which seven digits do, and they are
        most of what is in memory of a large sweep.
    """

    run: IntArray
    features: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Digest:
    """What training keeps of some runs.

    Attributes
    ----------
    facts : tuple of Facts
        One a run.
    windows : mapping of (int, int) to Windows
        By horizon and stride. Runs without an outcome have none.
    bins : tuple of (mapping of str to Bins)
        One a run: its channels, every other run's as a coarser log has them. Empty for runs
        without an outcome.
    """

    facts: tuple[Facts, ...]
    windows: Mapping[Pair, Windows]
    bins: tuple[Mapping[str, Bins], ...]

    def __len__(self) -> int:
        return len(self.facts)

    def between(self, first: int, end: int) -> Digest:
        """Return the digest of some consecutive runs."""
        windows = {}
        for pair, of_pair in self.windows.items():
            a, b = np.searchsorted(of_pair.run, (first, end))
            if b > a:
                windows[pair] = Windows(of_pair.run[a:b] - first, of_pair.features[a:b].copy())
        return Digest(self.facts[first:end], windows, self.bins[first:end])


def digest_runs(runs: Sequence[Run], recipe: Recipe) -> Digest:
    """Label runs and compute the features of their windows, :data:`CHUNK` at a time."""
    facts = tuple(facts_of(run, recipe.rule) for run in runs)
    labelled = np.array([i for i, fact in enumerate(facts) if fact.outcome], dtype=np.int64)
    windows = {}
    for pair in recipe.pairs(fact.stride for fact in facts):
        of_pair = windows_of([runs[i] for i in labelled], pair, recipe.settings)
        if of_pair.run.size:
            windows[pair] = Windows(labelled[of_pair.run], of_pair.features)
    bins = tuple(
        binned(run, int.from_bytes(fact.sha256[:4], "big")) if fact.outcome else {}
        for run, fact in zip(runs, facts, strict=True)
    )
    return Digest(facts, windows, bins)


def pairs_of(horizons: Iterable[int], strides: Iterable[int]) -> list[Pair]:
    """Return the (horizon, stride) pairs that hold enough samples for the features."""
    return [
        (horizon, stride)
        for stride in sorted(set(strides))
        for horizon in sorted(set(horizons))
        if horizon // stride >= loss_features.MIN_SAMPLES
    ]


def windows_of(runs: Sequence[Run], pair: Pair, settings: SignalSettings) -> Windows:
    """Compute the features of one window of every run whose log serves it."""
    fits = [i for i, run in enumerate(runs) if serves(run.loss, *pair)]
    parts = [
        _features([runs[i] for i in fits[start : start + CHUNK]], pair, settings)
        for start in range(0, len(fits), CHUNK)
    ]
    n_columns = len(loss_features.feature_names()) + len(METRIC_TERMS)
    features = np.concatenate(parts) if parts else np.empty((0, n_columns), dtype=np.float32)
    return Windows(np.array(fits, dtype=np.int64), features)


def _features(runs: Sequence[Run], pair: Pair, settings: SignalSettings) -> NDArray[np.float32]:
    """Return the columns of :attr:`Windows.features`."""
    loss = loss_features.extract(window(runs, *pair), settings)
    names = loss_features.feature_names()
    start, end = (loss[:, names.index(f"{name}_level")] for name in ("start", "end"))
    metrics = metric_terms([Evaluations.of(run) for run in runs], pair[0], start, end)
    return np.column_stack([loss, metrics]).astype(np.float32)


def join(digests: list[Digest]) -> Digest:
    """Return one digest of the runs of many, in order; the list is emptied to save memory."""
    facts = tuple(fact for digest in digests for fact in digest.facts)
    bins = tuple(channels for digest in digests for channels in digest.bins)
    first = np.cumsum([0, *map(len, digests)])[:-1]
    parts = [dict(digest.windows) for digest in digests]
    digests.clear()
    windows = {}
    for pair in sorted({pair for part in parts for pair in part}, key=_by_stride):
        of_pair = [
            (at, part.pop(pair)) for at, part in zip(first, parts, strict=True) if pair in part
        ]
        windows[pair] = Windows(
            np.concatenate([at + part.run for at, part in of_pair]),
            np.concatenate([part.features for _, part in of_pair]),
        )
    return Digest(facts, windows, bins)


def _by_stride(pair: Pair) -> Pair:
    return pair[1], pair[0]


def wider(recipe: Recipe, digest: Digest) -> Recipe | None:
    """Return the recipe with all step grids of the runs, or None if that would add no window."""
    strides = {fact.stride for fact in digest.facts if fact.outcome}
    unusual = strides - set(DEFAULT_STRIDES)
    if recipe.strides is not None or not any(
        coarse != fine and coarse % fine == 0 for coarse in unusual for fine in strides
    ):
        return None
    return replace(recipe, strides=tuple(sorted({*DEFAULT_STRIDES, *strides})))


def facts_of(run: Run, rule: LabelRule | None) -> Facts:
    """Take from a run what training keeps of it besides the features."""
    family = next((str(run.hparams[key]) for key in FAMILY_KEYS if key in run.hparams), None)
    return Facts(
        name=run.name,
        configuration=run.configuration,
        configuration_key=run.configuration_key,
        fingerprint=fingerprint(run),
        family=family,
        planned=run.max_steps,
        budget_source=run.budget_source,
        last_step=run.last_step,
        stride=run.loss.stride,
        rule=rule or rule_of(run),
        outcome=outcome(run, rule),
        sha256=_sha256(run),
    )


def _sha256(run: Run) -> bytes:
    digest = hashlib.sha256(run.configuration_key.encode())
    for name in sorted(run.channels):
        curve = run.channels[name]
        digest.update(name.encode() + curve.steps.tobytes() + curve.values.tobytes())
    return digest.digest()


def fingerprint(run: Run) -> str:
    """Return eight hexadecimal digits by which a classifier knows what it was trained on.

    Repetitions of one configuration have the same.
    """
    return run.configuration_key[:8]
