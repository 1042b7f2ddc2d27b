"""Which column of a log is which channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from grokpredict.logs.errors import LogError

#: Names of a channel in the order of preference, as :func:`normalised` spells them. A loss of
#: every step goes before an epoch's mean, validation before test.
KNOWN_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train_loss": (
            "train_loss_step",
            "train_loss",
            "training_loss",
            "loss_train",
            "train_loss_mean",
            "loss_step",
            "loss",
            "train_loss_epoch",
            "loss_epoch",
        ),
        "val_loss": ("val_loss", "loss_val", "test_loss", "loss_test"),
        "train_acc": ("train_acc", "train_acc_step", "acc_train", "acc", "train_acc_epoch"),
        "val_acc": ("val_acc", "acc_val", "test_acc", "acc_test"),
        "weight_norm": ("weight_norm", "param_norm", "parameter_norm", "weights_norm"),
        "grad_norm": ("grad_norm", "gradient_norm", "grad_2_0_norm_total"),
    }
)

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
)

#: W&B's count of calls to ``log``, which is no optimiser step where anything else counts those.
CALLS = "_step"

#: Columns that count or time rows: never a channel, never a hyperparameter.
COUNTERS = frozenset(
    {"epoch", "epochs", "time", "timestamp", "runtime", "wall_time", "walltime", "elapsed"}
)

_SAME = (
    (r"\baccuracy\b", "acc"),
    (r"\b(validation|valid|eval|dev)\b", "val"),
    (r"\b(training)\b", "train"),
)


def normalised(name: str) -> str:
    """Spell a column name the one way in which the tables above spell it.

    >>> normalised("Validation/Accuracy")
    'val_acc'
    """
    words = re.sub(r"[^a-z0-9]+", " ", name.strip().lower()).strip()
    for pattern, word in _SAME:
        words = re.sub(pattern, word, words)
    # An epoch's mean of a validation metric is the metric.
    if words.startswith(("val ", "test ")):
        words = words.removesuffix(" epoch")
    return words.replace(" ", "_")


@dataclass(frozen=True)
class Columns:
    """Column names that the user gave; None where they are to be recognised.

    Parameters
    ----------
    loss, step, val_acc : str, optional
        Exactly as the header of the file spells them.
    """

    loss: str | None = None
    step: str | None = None
    val_acc: str | None = None

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
            If there is no training loss, or a column that was given is missing.
        """
        given = {"train_loss": self.loss, "val_acc": self.val_acc}
        spelled: dict[str, str] = {}
        for name in header:
            spelled.setdefault(normalised(name), name)
        found: dict[str, str] = {}
        for channel, aliases in KNOWN_NAMES.items():
            wanted = given.get(channel)
            if wanted is not None:
                found[channel] = _given(wanted, header, where)
                continue
            known = (spelled[alias] for alias in aliases if alias in spelled)
            free = next((name for name in known if name not in given.values()), None)
            if free is not None:
                found[channel] = free
        if "train_loss" not in found:
            if any(name.endswith("__MIN") for name in header):
                raise LogError(
                    f"a run must be logged in full, {where} is a chart's export from W&B, which "
                    "is sampled; export the run's history instead"
                )
            raise LogError(
                f"a run must have a column with the training loss, {where} has "
                f"{shown(header)}; name it with --loss-column"
            )
        return found

    def step_column(self, header: Sequence[str], where: str) -> str | None:
        """Return the column that counts optimiser steps, None if rows must be counted."""
        if self.step is not None:
            return _given(self.step, header, where)
        spelled = {normalised(name): name for name in reversed(header) if name != CALLS}
        last = CALLS if CALLS in header else None
        return next((spelled[name] for name in STEP_NAMES if name in spelled), last)


def _given(wanted: str, header: Sequence[str], where: str) -> str:
    if wanted not in header:
        raise LogError(f"there is no column {wanted!r} in {where}, which has {shown(header)}")
    return wanted


def shown(header: Sequence[str]) -> str:
    """List column names for a message, not more than ten of them."""
    names = ", ".join(repr(name) for name in list(header)[:10]) or "none"
    return names + (f" and {len(header) - 10} more" if len(header) > 10 else "")
