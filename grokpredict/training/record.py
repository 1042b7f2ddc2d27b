"""What training keeps of a run: its outcome, its configuration, and the columns of its looks.

That is a hundredth of the curves, so a sweep of any size is worked through a few runs at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.columns import COLUMNS, columns
from grokpredict.features.profile import LOOKS, looks_before
from grokpredict.features.recording import Recording, compute_signatures
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.labels import BoolArray, LabelRule, Outcome, outcome, rule_of
from grokpredict.runs.run import Run
from grokpredict.training.patience import PATIENCES, stops_of_patience

#: Hyperparameters that name the kind of task, for leaving one out.
FAMILY_KEYS = ("family", "task")

#: Runs whose curves are worked on at once.
CHUNK = 256

#: Strides that a log may have, one of which is drawn for every other run; 0 is a log of eight
#: samples an octave. The classifier has to know what the coarse ones look like.
CADENCES = (10, 50, 100, 200, 500, 1000, 0)
_AN_OCTAVE = 8

#: A log is not thinned so much that fewer samples of its training loss are left than this.
_FEWEST_LEFT = 40

#: No look is read later than this many times the steps of a run: it needs a sample since the last.
_LATEST = 1.5


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
    family : str or None
        Kind of task, where the hyperparameters tell it.
    planned : int or None
        Steps for which it was planned.
    budget_source : str
        Where that comes from.
    last_step : int
        The last one at which anything was recorded.
    diverged : bool
        Whether its loss ended in NaN or infinity.
    rule : LabelRule
        By which it is labelled.
    outcome : Outcome or None
        None if no validation metric tells.
    """

    name: str
    configuration: Configuration
    configuration_key: str
    family: str | None
    planned: int | None
    budget_source: str
    last_step: int
    diverged: bool
    rule: LabelRule
    outcome: Outcome | None

    @classmethod
    def of(cls, run: Run, rule: LabelRule | None = None) -> Facts:
        """Take them from a run, labelled by ``rule`` or else as the run says."""
        return cls(
            name=run.name,
            configuration=run.configuration,
            configuration_key=run.configuration_key,
            family=next((str(run.hparams[key]) for key in FAMILY_KEYS if key in run.hparams), None),
            planned=run.max_steps,
            budget_source=run.budget_source,
            last_step=run.last_step,
            diverged=run.diverged,
            rule=rule or rule_of(run),
            outcome=outcome(run, rule),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """What training keeps of one run.

    Attributes
    ----------
    facts : Facts
        Outcome and configuration.
    sha256 : bytes
        Of the curves and the configuration.
    look : ndarray of int, shape (n_looks,)
        Numbers of the looks that can read the training loss and come before the run generalised.
        None for runs without an outcome.
    columns : ndarray of float32, shape (n_looks, n_columns)
        What these read, the budget missing. Columns are logarithms and shares, for which seven
        digits do, and they are most of what is in memory of a large sweep.
    patience : ndarray, shape (n_patiences,)
        Where ``EarlyStopping`` on the validation loss would have stopped the run, for
        :data:`~grokpredict.training.patience.PATIENCES`.
    """

    facts: Facts
    sha256: bytes
    look: IntArray
    columns: NDArray[np.float32]
    patience: FloatArray


def records_of(runs: Sequence[Run], rule: LabelRule | None = None) -> tuple[Record, ...]:
    """Label runs and compute the columns of their looks, :data:`CHUNK` at a time.

    Every other run is recorded as a coarser log has it, the same run always in the same way.
    """
    return tuple(
        record
        for start in range(0, len(runs), CHUNK)
        for record in _records(runs[start : start + CHUNK], rule)
    )


def _records(runs: Sequence[Run], rule: LabelRule | None) -> list[Record]:
    facts = [Facts.of(run, rule) for run in runs]
    digests = [_sha256(run, fact) for run, fact in zip(runs, facts, strict=True)]
    recordings = [
        Recording.of(as_logged(run, int.from_bytes(digest[:4], "big")) if fact.outcome else {})
        for run, fact, digest in zip(runs, facts, digests, strict=True)
    ]
    compute_signatures(recordings)
    looks = [_looks(fact) for fact in facts]
    parts = columns_of(recordings, looks)
    records = []
    for run, fact, digest, look, part in zip(runs, facts, digests, looks, parts, strict=True):
        read = np.isfinite(part[:, _LOSS_LEVEL])  # no look is without the training loss
        columns_read = part[read].astype(np.float32)
        records.append(Record(fact, digest, look[read], columns_read, _patience(run)))
    return records


_LOSS_LEVEL = COLUMNS.index("train_loss_level")


def _looks(facts: Facts) -> IntArray:
    """Return the numbers of the looks at a run before it generalised."""
    if facts.outcome is None:
        return np.empty(0, dtype=np.int64)
    t4 = facts.outcome.t4
    return looks_within(facts.last_step, np.inf if t4 is None else t4)


def looks_within(last_step: int, t4: float) -> IntArray:
    """Return the numbers of the looks at a run before it generalised, and while it has samples."""
    return np.arange(looks_before(min(_LATEST * (last_step + 1), t4)).size)


def columns_of(recordings: Sequence[Recording], looks: Sequence[IntArray]) -> list[FloatArray]:
    """Return the columns of all looks at each run, the budget missing."""
    pairs = [(run, look) for run, look in zip(recordings, looks, strict=True) if look.size]
    if not pairs:
        return [np.empty((0, len(COLUMNS))) for _ in looks]
    step = np.concatenate([LOOKS[look] for _, look in pairs])
    levels = np.concatenate([run.levels(look.tolist()) for run, look in pairs])
    signature = np.concatenate([run.signature(look.tolist()) for run, look in pairs])
    rows = columns(levels, signature, step, np.full(step.size, np.nan))
    return np.split(rows, np.cumsum([look.size for look in looks])[:-1])


def _patience(run: Run) -> FloatArray:
    curve = run.channels.get("val_loss")
    if curve is None or not len(curve):
        return np.full(PATIENCES.size, np.inf)
    return stops_of_patience(curve, PATIENCES, maximise=False)


def as_logged(run: Run, draw: int) -> Mapping[str, Curve]:
    """Return a run's channels as they are, or for odd draws as a coarser log has them.

    Parameters
    ----------
    run : Run
        With its curves.
    draw : int
        Any number, by which the cadence is chosen.
    """
    cadence = CADENCES[draw // 2 % len(CADENCES)] if draw % 2 else 1
    if thinning(run.loss.steps, cadence).sum() < min(_FEWEST_LEFT, len(run.loss)):
        cadence = 1
    return run.channels if cadence == 1 else thinned(run.channels, cadence)


def thinned(channels: Mapping[str, Curve], cadence: int) -> dict[str, Curve]:
    """Return channels as a log of this cadence has them."""
    coarse = {}
    for channel, curve in channels.items():
        kept = thinning(curve.steps, cadence)
        coarse[channel] = Curve(curve.steps[kept], curve.values[kept])
    return coarse


def thinning(steps: IntArray, cadence: int) -> BoolArray:
    """Return which samples a log of this cadence has: the last of each group of steps."""
    if cadence == 1:
        return np.ones(steps.size, dtype=np.bool_)
    updates = steps + 1
    group = np.floor(np.log2(updates) * _AN_OCTAVE) if cadence == 0 else updates // cadence
    # The first sample of a group that began: at updates 50, 100, ... of every step.
    begins = np.diff(group, prepend=group[:1] if cadence == 0 else 0) > 0
    return np.asarray(begins, dtype=np.bool_)


def _sha256(run: Run, facts: Facts) -> bytes:
    digest = hashlib.sha256(facts.configuration_key.encode())
    for channel in sorted(run.channels):
        curve = run.channels[channel]
        digest.update(channel.encode() + curve.steps.tobytes() + curve.values.tobytes())
    return digest.digest()


def fingerprint(configuration_key: str) -> str:
    """Return eight hexadecimal digits by which a classifier knows what it was trained on.

    Repetitions of one configuration have the same.
    """
    return configuration_key[:8]
