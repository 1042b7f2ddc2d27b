"""The validation metrics among what a live run logs, by the names that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from grokpredict.live.plain import number
from grokpredict.logs.columns import KNOWN_NAMES, normalised, shown
from grokpredict.runs.labels import PERCENT_ABOVE, LabelRule

#: Words that make a metric one of validation, and those that say which one.
_VALIDATION = frozenset(
    ["val", "valid", "validation", "validate", "eval", "evaluation", "dev", "heldout", "test"]
)
_WORDS: Mapping[str, frozenset[str]] = {
    "val_acc": frozenset(["acc", "accuracy", "accuracies", "top1", "acc1", "accuracy1"]),
    "val_loss": frozenset({"loss", "losses"}),
}
#: Words of other metrics, such as ``val_acc_top5``.
_OTHERS = frozenset({"train", "training", "top5", "top3", "top10", "err", "error"})


def find_validation(
    metrics: Mapping[str, Any], rule: LabelRule, name: str | None = None
) -> float | None:
    """Return the validation metric that the rule names, None if it is not there.

    As it was logged: a share or, see :func:`in_percent`, a percentage. Of several metrics whose
    names are not in the table of log columns, the best counts: whether a run has generalised
    already must not be missed.

    Parameters
    ----------
    metrics : mapping
        What was logged last, by name.
    rule : LabelRule
        The classifier's.
    name : str, optional
        Name under which the metric is logged. Where it is not there, as where none is given,
        the metric is recognised.

    Raises
    ------
    ValueError
        If the metric is no number.

    Examples
    --------
    >>> find_validation({"eval_accuracy": 0.5, "loss": 0.1}, LabelRule())
    0.5
    >>> find_validation({"val/top1/dataloader_idx_1": 0.5, "val_top5": 0.9}, LabelRule())
    0.5
    """
    if name is not None and name in metrics:
        return _value(metrics, name)
    spelled: dict[str, str] = {}
    for key in metrics:
        spelled.setdefault(normalised(str(key)), key)
    for alias in KNOWN_NAMES[rule.metric]:
        if alias in spelled:
            return _value(metrics, spelled[alias])
    values = [_value(metrics, key) for key in metrics if _is_metric(str(key), rule.metric)]
    best = max if rule.metric == "val_acc" else min
    return best(values) if values else None


def _is_metric(name: str, metric: str) -> bool:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    apart = re.sub(r"\b(top|acc|accuracy)\W?(\d+)\b", r"\1\2", apart.replace("_", " "))
    words = set(re.findall(r"[a-z0-9]+", apart))
    wanted = _WORDS.get(metric, frozenset())
    return bool(words & _VALIDATION and words & wanted and not words & _OTHERS)


def _value(metrics: Mapping[str, Any], name: str) -> float:
    value = number(metrics[name])
    if value is None:
        raise ValueError(f"the validation metric {name!r} is {metrics[name]!r}, which is no number")
    return value


def found_channels(
    metrics: Mapping[str, Any], accuracy: str | None = None
) -> dict[str, float | None]:
    """Return the channels besides the training loss that looks read, as far as they are there.

    Parameters
    ----------
    metrics : mapping
        What was logged last, by name.
    accuracy : str, optional
        Name under which the validation accuracy is logged.

    >>> found_channels({"val_loss": 0.2, "eval_accuracy": 0.5, "acc": 1.0})
    {'val_loss': 0.2, 'val_acc': 0.5, 'train_acc': 1.0}
    """
    values = {
        "val_loss": find_validation(metrics, LabelRule("val_loss")),
        "val_acc": find_validation(metrics, LabelRule("val_acc"), accuracy),
        "train_acc": number(find_train_accuracy(metrics)),
    }
    return {name: value for name, value in values.items() if value is not None}


def find_train_accuracy(metrics: Mapping[str, Any]) -> Any:
    """Return the training accuracy as it was logged, which may be on a device; None if none was.

    >>> find_train_accuracy({"train/acc_step": 0.5, "val_acc": 0.1})
    0.5
    """
    spelled = {normalised(str(key)): key for key in metrics}
    name = next((own for own in KNOWN_NAMES["train_acc"] if own in spelled), None)
    return None if name is None else metrics[spelled[name]]


def in_percent(metrics: Mapping[str, Any]) -> bool:
    """Whether an accuracy above 1 among ``metrics`` shows that accuracies are percentages.

    0.97 % is what guessing gives in a hundred classes; the training accuracy may tell.

    >>> in_percent({"val_acc": 0.97, "train_acc": 40.0})
    True
    """
    return any(
        PERCENT_ABOVE < (number(value) or 0) <= 100.001
        for key, value in metrics.items()
        if normalised(str(key)).removesuffix("_epoch").removesuffix("_step").endswith("acc")
    )


def not_recognised(names: Iterable[str], rule: LabelRule, name: str | None, remedy: str) -> str:
    """Return a sentence for a validation that logs nothing by which to tell a run that generalised.

    Parameters
    ----------
    names : iterable of str
        What was logged.
    rule : LabelRule
        The classifier's.
    name : str or None
        Name that the user gave.
    remedy : str
        How to name the metric.

    >>> not_recognised(["val_f1"], LabelRule(), None, "name it with val_metric")
    "the validation logs no metric known as val_acc (there are 'val_f1'); name it with val_metric"
    """
    wanted = f"metric known as {rule.metric}" if name is None else f"metric {name!r}"
    return f"the validation logs no {wanted} (there are {shown(sorted(map(str, names)))}); {remedy}"
