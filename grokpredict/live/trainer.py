"""What a Lightning trainer tells of a run: its configuration, its budget, how it validates.

Duck-typed, so that it serves both namespaces of Lightning and imports neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grokpredict.logs.columns import KNOWN_NAMES, normalised
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.labels import LabelRule

#: Points at which a learning-rate function is asked, the denser the earlier: warm-ups are short.
_N_ASKED = 128


def read_context(trainer: Any, pl_module: Any, budget: int) -> Configuration:
    """Read the configuration off the first optimiser, the data loader and the module.

    Parameters
    ----------
    trainer, pl_module
        Of either Lightning, during a fit.
    budget : int
        Optimiser steps over which the peak of the learning rate is sought.

    Returns
    -------
    Configuration
        None in the fields that nothing tells. The learning rate is the peak of the schedule, see
        :func:`peak_learning_rate`; the batch is that of an optimiser step, over all micro-batches
        and processes.
    """
    loader = trainer.train_dataloader
    # Without automatic batching an item of the data set is a batch, of nobody knows how many.
    batched = getattr(loader, "batch_sampler", loader) is not None
    train_size = length(getattr(loader, "dataset", None)) if batched else None
    batch_size = _batch_size(loader) or _mean_batch_size(trainer, train_size)
    if batch_size is not None:
        batch_size *= int(trainer.accumulate_grad_batches) * int(trainer.world_size)
    told = optimizer_context(trainer.optimizers[0]) if trainer.optimizers else Configuration()
    return replace(
        told,
        learning_rate=_peak_of_function(trainer, budget) or told.learning_rate,
        batch_size=batch_size,
        train_size=train_size,
        n_parameters=None if _sharded(trainer) else n_parameters(pl_module),
    )


def optimizer_context(optimizer: Any) -> Configuration:
    """Read name, peak learning rate, weight decay and momentum off a torch optimiser.

    The largest weight decay counts, since biases and norms are commonly left out of it.
    """
    groups = optimizer.param_groups
    return Configuration(
        optimizer=_optimizer_name(optimizer, groups),
        learning_rate=peak_learning_rate(groups),
        weight_decay=_largest(groups, "weight_decay"),
        momentum=_momentum(groups),
    )


def peak_learning_rate(groups: list[dict[str, Any]]) -> float | None:
    """Return the largest learning rate that the parameter groups name.

    A schedule that warms up keeps its peak in ``initial_lr``, a one-cycle schedule in ``max_lr``;
    without a schedule there is only ``lr``. None if all are zero: the rate is then set from
    elsewhere and not known here.

    >>> peak_learning_rate([{"lr": 1e-5, "initial_lr": 1e-3}])
    0.001
    """
    peaks = [_largest(groups, key) for key in ("lr", "initial_lr", "max_lr")]
    return max((peak for peak in peaks if peak), default=None)


def _peak_of_function(trainer: Any, budget: int) -> float | None:
    """Return the largest learning rate of a ``LambdaLR``; None if there is none.

    Its ``initial_lr`` is a factor: where the optimiser is given ``lr=1``, the function returns the
    learning rate itself, and 1 is no learning rate of the run.
    """
    for config in trainer.lr_scheduler_configs:
        schedule = config.scheduler
        if type(schedule).__name__ != "LambdaLR" or schedule.optimizer is not trainer.optimizers[0]:
            continue
        last = budget
        if config.interval == "epoch" and not math.isinf(trainer.num_training_batches):
            steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
            last = max(1, budget // max(steps, 1))
        asked = {0, *(round(last ** (part / _N_ASKED)) for part in range(_N_ASKED + 1))}
        try:
            return max(
                float(factor * function(step))
                for factor, function in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
                for step in asked
            )
        except Exception:  # the user's function, which may refuse to be asked out of turn
            return None
    return None


def read_budget(trainer: Any, pl_module: Any, steps: int | None, n_seen: int) -> int | str:
    """Return how many losses the whole run will give, or a sentence if that is not known.

    Parameters
    ----------
    trainer, pl_module
        Of either Lightning, during a fit.
    steps : int or None
        The budget that the user gave, in Lightning's count of optimiser steps.
    n_seen : int
        Losses seen so far. Manual optimisation may step several optimisers for one loss, or
        none; the run so far tells how often.
    """
    batches = _planned_batches(trainer)
    if pl_module.automatic_optimization:
        by_epochs = batches
        steps_per_loss = 1.0
    else:
        seen = max(n_seen, 1)
        by_epochs = batches * (n_seen / max(trainer.fit_loop.total_batch_idx + 1, 1) or 1.0)
        steps_per_loss = max(trainer.global_step, seen) / seen
    if steps is not None:
        return max(1, int(steps / steps_per_loss))
    limit = trainer.max_steps
    by_steps = limit / steps_per_loss if limit is not None and limit != -1 else math.inf
    known = min(by_epochs, by_steps)
    if math.isinf(known):
        return (
            "the number of steps that this run will make is not known, so nothing is stopped; "
            "give Trainer(max_steps=...) or GrokPredictor(budget=...)"
        )
    return max(1, int(known))


def read_validation(trainer: Any, rule: LabelRule, name: str | None) -> float | None:
    """Return the latest value of the validation metric that the rule names, if it was logged.

    Parameters
    ----------
    trainer
        Of either Lightning, during a fit.
    rule : LabelRule
        The classifier's.
    name : str or None
        Name under which the metric is logged; recognised if None, as in log files.
    """
    return find_validation(trainer.callback_metrics, rule, name)


def find_validation(
    metrics: Mapping[str, Any], rule: LabelRule, name: str | None = None
) -> float | None:
    """Return the validation metric that the rule names, by name or recognised; None if absent.

    As it was logged: a share or, see :func:`in_percent`, a percentage.

    >>> find_validation({"eval_accuracy": 0.5, "loss": 0.1}, LabelRule())
    0.5
    """
    if name is None:
        spelled = {normalised(str(key)): key for key in metrics}
        known = (alias for alias in KNOWN_NAMES[rule.metric] if alias in spelled)
        name = next((spelled[alias] for alias in known), None)
    if name is None or name not in metrics:
        return None
    return float(metrics[name])


def find_evaluation(
    metrics: Mapping[str, Any], accuracy: str | None = None
) -> tuple[float, float] | None:
    """Return validation loss and accuracy, if both are there; the name of the second may be given.

    >>> find_evaluation({"val_loss": 0.2, "val_acc": 0.5})
    (0.2, 0.5)
    """
    loss = find_validation(metrics, LabelRule("val_loss"))
    share = find_validation(metrics, LabelRule("val_acc"), accuracy)
    return None if loss is None or share is None else (loss, share)


def in_percent(metrics: Mapping[str, Any]) -> bool:
    """Whether an accuracy above 1 among ``metrics`` shows that accuracies are percentages.

    0.97 % is what guessing gives in a hundred classes; the training accuracy may tell.

    >>> in_percent({"val_acc": 0.97, "train_acc": 40.0})
    True
    """
    return any(
        1 + 1e-6 < _number(value) <= 100.001
        for key, value in metrics.items()
        if normalised(str(key)).removesuffix("_epoch").removesuffix("_step").endswith("acc")
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def can_stop(trainer: Any) -> bool:
    """Whether the trainer's ``min_steps`` and ``min_epochs`` are met.

    Before that Lightning goes on whatever ``should_stop`` says, and nags about it.
    """
    return bool(
        trainer.global_step >= (trainer.min_steps or 0)
        and trainer.current_epoch >= (trainer.min_epochs or 0)
    )


def _planned_batches(trainer: Any) -> float:
    """Return Lightning's ``estimated_stepping_batches``, but for ``max_steps``; may be infinite."""
    if trainer.max_epochs in (None, -1):
        return math.inf
    batches = trainer.num_training_batches
    if math.isinf(batches):
        return math.inf
    # An epoch's last accumulation window may be short: it makes a step of its own.
    return float(math.ceil(batches / trainer.accumulate_grad_batches) * max(trainer.max_epochs, 1))


def _optimizer_name(optimizer: Any, groups: list[dict[str, Any]]) -> str:
    name = type(optimizer).__name__.lower()
    # A class of the user's own is what it is named after, or derived from.
    if "adamw" in name:
        return "adamw"
    kinds = type(optimizer).__mro__
    base = next((own.__name__ for own in kinds if own.__module__.startswith("torch.")), "Optimizer")
    name = name if base == "Optimizer" else base.lower()
    # torch's Adam decays like AdamW when it is told to.
    decoupled = any(group.get("decoupled_weight_decay") for group in groups)
    return "adamw" if name == "adam" and decoupled else name


def _largest(groups: list[dict[str, Any]], key: str) -> float | None:
    return max((float(group[key]) for group in groups if key in group), default=None)


def _momentum(groups: list[dict[str, Any]]) -> float | None:
    for group in groups:
        if "momentum" in group:
            return float(group["momentum"])
        if "betas" in group:
            return float(group["betas"][0])
    return None


def _batch_size(loader: Any) -> int | None:
    size = getattr(loader, "batch_size", None)
    if size is None:
        size = getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
    return int(size) if isinstance(size, int) else None


def _mean_batch_size(trainer: Any, train_size: int | None) -> int | None:
    """Return the batch size of a loader that does not tell it, from the length of an epoch."""
    batches: float = trainer.num_training_batches
    whole = isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches == 1
    if train_size is None or not whole or not 0 < batches < math.inf:
        return None
    return math.ceil(train_size / batches)


def length(dataset: Any) -> int | None:
    """Return the number of samples, None if it is not known."""
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return None


def _sharded(trainer: Any) -> bool:
    # Under FSDP and DeepSpeed a rank holds a shard: its count would be that of another model.
    name = type(trainer.strategy).__name__
    return any(word in name for word in ("FSDP", "DeepSpeed", "ModelParallel"))


def n_parameters(module: Any) -> int:
    """Return the number of trainable parameters of a torch module."""
    return sum(int(p.numel()) for p in module.parameters() if p.requires_grad)
