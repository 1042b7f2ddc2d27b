"""Which column of a log is which channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from grokpredict.logs.errors import LogError

#: What the count in a log can stand for.
UNITS = ("step", "epoch", "call", "row")

#: Names of a channel in the order of preference, as :func:`normalised` spells them. A loss of
#: every step goes before an epoch's mean, validation before test.
KNOWN_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train_loss": (
            "train_loss_step",
            "train_loss",
            "loss_train",
            "train_loss_mean",
            "loss_step",
            "loss",
            "train_loss_epoch",
            "train_epoch_loss",
            "loss_epoch",
            "epoch_loss",
        ),
        "val_loss": ("val_loss", "loss_val", "val_epoch_loss", "test_loss", "loss_test"),
        "train_acc": (
            "train_acc",
            "train_acc_step",
            "acc_train",
            "acc",
            "train_acc_epoch",
            "train_epoch_acc",
            "epoch_acc",
        ),
        "val_acc": (
            "val_acc",
            "acc_val",
            "val_epoch_acc",
            "metrics_acc",
            "test_acc",
            "acc_test",
        ),
        "weight_norm": ("weight_norm", "param_norm", "parameter_norm", "weights_norm"),
        "grad_norm": ("grad_norm", "gradient_norm", "grad_2_0_norm_total"),
    }
)

CHANNEL_NAMES = frozenset(name for names in KNOWN_NAMES.values() for name in names)

#: Names of the column that counts optimiser steps, likewise.
STEP_NAMES = (
    "step",
    "global_step",
    "trainer_global_step",
    "train_global_step",
    "train_step",
    "steps",
    "iteration",
    "iter",
    "iterations",
    "optimizer_step",
    "train_steps",
    "num_steps",
    "train_iter",
)

EPOCH_NAMES = ("epoch", "epochs", "train_epoch", "ep")

#: W&B's count of calls to ``log``, which is no optimiser step where anything else counts those.
CALLS = "_step"

#: Columns that count or time rows: never a channel, never a hyperparameter.
COUNTERS = frozenset(
    {*EPOCH_NAMES, "time", "timestamp", "runtime", "wall_time", "walltime", "elapsed", "date"}
)

#: Words for a part of the data, by what they stand for.
SPLITS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("train", "training", "tr", "trn", "fit"), "train"),
        **dict.fromkeys(
            ("val", "valid", "validation", "validate", "eval", "evaluation", "dev"), "val"
        ),
        **dict.fromkeys(("test", "testing", "tst"), "test"),
    }
)

_ACCURACY = (
    r"\b(multi ?class|multi ?label|binary|sparse|categorical|top ?1|mean|avg) (?=.*\bacc\b)",
    r"(?<=\bacc) (top ?1|top1|1)\b",
)

_SAME = (
    (r"\baccuracy\b|\baccuracies\b|\baccs\b", "acc"),
    (r"\bacc1\b|\btop ?1\b(?! acc| err)|\btop1\b(?! acc| err)", "acc"),
    (r"\blosses\b", "loss"),
    (r"\b(validation|valid|eval|evaluation|dev)\b", "val"),
    (r"\b(training)\b", "train"),
    (r"\b(testing)\b", "test"),
)

#: The dataloader that Lightning names in a metric when there are several; the first is the one.
_FIRST_LOADER = re.compile(r" dataloader idx 0$")


@lru_cache(maxsize=4096)
def normalised(name: str) -> str:
    """Spell a column name the one way in which the tables above spell it.

    >>> normalised("Validation/Accuracy"), normalised("val_MulticlassAccuracy")
    ('val_acc', 'val_acc')
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name.strip())
    words = re.sub(r"[^a-z0-9]+", " ", apart.lower()).strip()
    for pattern, word in _SAME:
        words = re.sub(pattern, word, words)
    for pattern in _ACCURACY:
        words = re.sub(pattern, "", words).strip()
    words = re.sub(r"\bacc acc\b", "acc", _FIRST_LOADER.sub("", words))
    if words.startswith("metrics ") and words.split()[1] in SPLITS:
        words = words.removeprefix("metrics ")
    # An epoch's mean of a validation metric is the metric.
    if words.startswith(("val ", "test ")):
        words = words.removesuffix(" epoch")
    return words.replace(" ", "_")


def split_of(word: object) -> str | None:
    """Return which part of the data a word stands for; None if it is no such word.

    >>> split_of("Validation"), split_of("adam")
    ('val', None)
    """
    return SPLITS.get(word.strip().lower()) if isinstance(word, str) else None


@dataclass(frozen=True)
class Columns:
    """Column names that the user gave; None where they are to be recognised.

    Parameters
    ----------
    loss, step, val_acc : str, optional
        Exactly as the header of the file spells them. ``loss`` may be a pattern such as
        ``seed_*`` where every run has a column.
    step_unit : str, optional
        What the step column counts: ``step`` (of the optimiser), ``epoch``, ``call``, ``row``, or
        a whole number of optimiser steps that one count stands for.
    split : str, optional
        Column that tells runs, or training and validation, apart.
    hparams : mapping
        Configuration of the runs; it goes before what their logs say.

    Raises
    ------
    ValueError
        If ``step_unit`` is none of these.
    """

    loss: str | None = None
    step: str | None = None
    val_acc: str | None = None
    step_unit: str | None = None
    split: str | None = None
    hparams: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unit = self.step_unit
        if unit is not None and unit not in UNITS and not (unit.isdecimal() and int(unit) > 0):
            raise ValueError(
                f"--step-unit must be {', '.join(UNITS)} or a whole number of optimiser steps, "
                f"got {unit!r}"
            )

    def channels(self, header: Sequence[str], where: str) -> dict[str, str]:
        """Return the column of each channel that ``header`` has.

        Parameters
        ----------
        header : sequence of str
            Names of all columns.
        where : str
            The file, for the message.

        Raises
        ------
        LogError
            If there is no training loss, two columns could be one channel, or a column that was
            given is missing.
        """
        given = {"train_loss": self.loss, "val_acc": self.val_acc}
        spelled: dict[str, list[str]] = {}
        for name in header:
            spelled.setdefault(normalised(name), []).append(name)
        chosen: dict[str, str] = {}
        for channel, aliases in KNOWN_NAMES.items():
            wanted = given.get(channel)
            if wanted is not None:
                chosen[channel] = given_column(wanted, header, where)
                continue
            for alias in aliases:
                free = [name for name in spelled.get(alias, ()) if name not in given.values()]
                free = [name for name in free if _plain(name) == alias] or free
                if len(free) > 1:
                    raise LogError(_ambiguous(channel, free, where))
                if free:
                    chosen[channel] = free[0]
                    break
        if "train_loss" not in chosen:
            raise LogError(_no_loss(header, where))
        return chosen

    def unknown_metrics(self, header: Sequence[str]) -> list[str]:
        """Return columns that are named like a validation metric and are no channel."""
        return [
            name
            for name in header
            if normalised(name) not in CHANNEL_NAMES
            and name not in (self.val_acc, self.loss)
            and any(SPLITS.get(word, "train") != "train" for word in normalised(name).split("_"))
        ]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _ambiguous(channel: str, names: Sequence[str], where: str) -> str:
    option = {"train_loss": "--loss-column", "val_acc": "--val-acc-column"}.get(channel)
    remedy = f"name the right one with {option}" if option else "remove one of them"
    return (
        f"one column must be the {channel}, {where} has {' and '.join(map(repr, names))}; {remedy}"
    )


def _no_loss(header: Sequence[str], where: str) -> str:
    if any(name.endswith("__MIN") for name in header):
        return (
            f"a run must be logged in full, {where} is a chart's export from W&B, which "
            "is sampled; export the run's history instead"
        )
    if {name.strip().lower() for name in header} == {"wall time", "step", "value"}:
        return (
            f"a run must be logged in full, {where} is a download from TensorBoard's page, which "
            "is sampled; give the folder with the event files instead"
        )
    return (
        f"a run must have a column with the training loss, {where} has "
        f"{shown(header)}; name it with --loss-column"
    )


def given_column(wanted: str, header: Sequence[str], where: str) -> str:
    """Return the column that the user named; LogError if there is none."""
    if wanted not in header:
        raise LogError(f"there is no column {wanted!r} in {where}, which has {shown(header)}")
    return wanted


def shown(header: Sequence[str]) -> str:
    """List column names for a message, not more than ten of them."""
    names = ", ".join(repr(name) for name in list(header)[:10]) or "none"
    return names + (f" and {len(header) - 10} more" if len(header) > 10 else "")
