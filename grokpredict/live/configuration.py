"""The configuration of a live run, read off its objects without calling the user's code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from grokpredict.live.plain import number, plain
from grokpredict.live.rates import peak_learning_rate
from grokpredict.runs.configuration import Configuration

#: The attribute from which a data set of torch's tells its length.
_LENGTH_OF = {
    "torch.utils.data.dataset.TensorDataset": "tensors",
    "torch.utils.data.dataset.Subset": "indices",
    "torch.utils.data.dataset.ConcatDataset": "cumulative_sizes",
    "torch.utils.data.dataset.StackDataset": "_length",
}
#: Libraries whose data sets tell their length from what they hold.
_LIBRARIES = ("torchvision", "datasets")
#: Samplers that draw every sample of a data set once an epoch.
_WHOLE = ("SequentialSampler", "RandomSampler")


def read_configuration(trainer: Any, pl_module: Any) -> Configuration:
    """Read the configuration off the first optimiser, the data loader and the module.

    Parameters
    ----------
    trainer, pl_module
        Of either Lightning, during a fit.

    Returns
    -------
    Configuration
        None in the fields that nothing tells. The batch is that of an optimiser step, over all
        micro-batches and processes.
    """
    loader = trainer.train_dataloader
    # Without automatic batching an item of the data set is a batch, of nobody knows how many.
    batched = plain(loader, "batch_sampler", loader) is not None
    size = _batch_size(loader)
    train_size = None
    if batched:
        train_size = n_samples(plain(loader, "dataset"))
        if train_size is None:
            train_size = _samples_of_an_epoch(trainer, loader, size)
    batch_size = size or _mean_batch_size(trainer, train_size)
    if batch_size is not None:
        batch_size *= int(trainer.accumulate_grad_batches) * int(trainer.world_size)
    optimizer = trainer.optimizers[0] if trainer.optimizers else None
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    return replace(
        _optimizer_configuration(optimizer, schedules),
        batch_size=batch_size,
        train_size=train_size,
        n_parameters=None if is_sharded(trainer) else n_parameters(pl_module),
    )


def _optimizer_configuration(optimizer: Any, schedules: Iterable[Any]) -> Configuration:
    """Read name, peak learning rate, weight decay and momentum off a torch optimiser.

    The largest weight decay counts, since biases and norms are commonly left out of it.

    Parameters
    ----------
    optimizer
        One of torch's, the user's own, or a wrapper that holds one as ``optimizer``.
    schedules : iterable
        Learning-rate schedules, of this and of other optimisers.
    """
    optimizer = unwrapped(optimizer)
    groups = parameter_groups(optimizer)
    if not groups:
        return Configuration()
    ours = [item for item in schedules if unwrapped(plain(item, "optimizer")) is optimizer]
    return Configuration(
        optimizer=_optimizer_name(optimizer, groups),
        learning_rate=peak_learning_rate(groups, ours),
        weight_decay=_largest(groups, "weight_decay"),
        momentum=_momentum(groups),
    )


def unwrapped(optimizer: Any) -> Any:
    """Return the optimiser that holds the parameter groups: accelerate and others wrap it."""
    for _ in range(4):
        inner = plain(optimizer, "optimizer")
        if inner is None or plain(optimizer, "param_groups") is not None:
            break
        optimizer = inner
    return optimizer


def parameter_groups(optimizer: Any) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimiser that holds them as torch's do, else none."""
    groups = plain(optimizer, "param_groups")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return []
    # A dictionary of the user's own class may compute what it returns.
    return [dict.copy(group) for group in groups]


def n_samples(dataset: Any) -> int | None:
    """Return the number of samples of a data set; None where only the user's code tells it.

    >>> n_samples(range(470))
    470
    """
    if type(dataset) in (list, tuple, range, dict):
        return len(dataset)
    if type(dataset) in (torch.Tensor, np.ndarray):
        return int(dataset.shape[0]) if dataset.ndim else None
    owner = next((kind for kind in type(dataset).__mro__ if "__len__" in vars(kind)), None)
    if owner is None:
        return None
    attribute = _LENGTH_OF.get(f"{owner.__module__}.{owner.__qualname__}")
    if attribute is not None:
        return _told_length(plain(dataset, attribute), attribute)
    if owner.__module__.partition(".")[0] in _LIBRARIES:
        return len(dataset)
    return None


def _told_length(held: Any, attribute: str) -> int | None:
    if attribute == "tensors":
        return n_samples(held[0]) if held else None
    if attribute == "indices":
        return n_samples(held)
    return int(held[-1] if attribute == "cumulative_sizes" else held)


def _samples_of_an_epoch(trainer: Any, loader: Any, batch_size: int | None) -> int | None:
    """Return the training set's size to within a batch, from the batches that Lightning counted.

    That of a data set whose length only the user's code tells.
    """
    sampler = plain(loader, "sampler")
    total = plain(sampler, "total_size")
    if isinstance(total, int):  # a distributed sampler has asked when it was made
        return total
    batches = _whole_epoch(trainer)
    if type(sampler).__name__ not in _WHOLE or plain(sampler, "_num_samples") is not None:
        return None
    if batches is None or batch_size is None:
        return None
    return batches * batch_size


def _batch_size(loader: Any) -> int | None:
    size = plain(loader, "batch_size")
    if size is None:
        size = plain(plain(loader, "batch_sampler"), "batch_size")
    return size if type(size) is int else None


def _mean_batch_size(trainer: Any, train_size: int | None) -> int | None:
    """Return the batch size of a loader that does not tell it, from the length of an epoch."""
    batches = _whole_epoch(trainer)
    return None if train_size is None or batches is None else math.ceil(train_size / batches)


def _whole_epoch(trainer: Any) -> int | None:
    """Return the batches of an epoch as Lightning counted them, if it trains on all of them."""
    batches: float = trainer.num_training_batches
    limit = trainer.limit_train_batches
    whole = isinstance(limit, float) and limit == 1
    return int(batches) if whole and 0 < batches < math.inf else None


def n_parameters(module: Any) -> int:
    """Return the number of trainable parameters of a torch module.

    >>> n_parameters(torch.nn.Linear(3, 2))
    8
    """
    with torch._C.DisableTorchFunctionSubclass():
        return sum(int(parameter.numel()) for parameter in trainable(module))


def trainable(module: Any) -> list[Any]:
    """Return the trainable parameters of a torch module, each once."""
    found, seen, waiting = [], set(), [module]
    # A class of the user's may override ``parameters``, and the methods that it calls.
    with torch._C.DisableTorchFunctionSubclass():
        while waiting:
            part = waiting.pop()
            for parameter in (plain(part, "_parameters") or {}).values():
                if parameter is not None and id(parameter) not in seen:
                    seen.add(id(parameter))
                    if parameter.requires_grad:
                        found.append(parameter)
            modules = (plain(part, "_modules") or {}).values()
            inner = [child for child in modules if child is not None and id(child) not in seen]
            waiting += inner
            seen.update(map(id, inner))
    return found


def is_sharded(trainer: Any) -> bool:
    """Whether a process holds only a part of the weights, as under FSDP and DeepSpeed."""
    name = type(trainer.strategy).__name__
    return any(word in name for word in ("FSDP", "DeepSpeed", "ModelParallel"))


def _optimizer_name(optimizer: Any, groups: Sequence[dict[str, Any]]) -> str:
    name = type(optimizer).__name__.lower()
    # A class of the user's own is what it is named after, or derived from.
    if "adamw" in name:
        return "adamw"
    kinds = type(optimizer).__mro__
    base = next(
        (kind.__name__ for kind in kinds if kind.__module__.startswith("torch.")), "Optimizer"
    )
    name = name if base == "Optimizer" else base.lower()
    # torch's Adam decays like AdamW when it is told to.
    decoupled = any(group.get("decoupled_weight_decay") is True for group in groups)
    return "adamw" if name == "adam" and decoupled else name


def _largest(groups: Sequence[dict[str, Any]], key: str) -> float | None:
    values = (number(group.get(key)) for group in groups)
    return max((value for value in values if value is not None), default=None)


def _momentum(groups: Sequence[dict[str, Any]]) -> float | None:
    for group in groups:
        if "momentum" in group:
            return number(group["momentum"])
        betas = group.get("betas")
        if isinstance(betas, (tuple, list)) and betas:
            return number(betas[0])
    return None
