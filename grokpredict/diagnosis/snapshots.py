"""Parameters of a run at some of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grokpredict.diagnosis.landscape import flatten, trainable_parameters


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A network's state before one optimiser step, on the CPU.

    Parameters
    ----------
    step : int
        Optimiser steps made before.
    parameters : Tensor, shape (n_parameters,)
        All trainable parameters, laid end to end.
    buffers : mapping of str to Tensor
        Such as running statistics.
    update : Tensor, shape (n_parameters,), optional
        What the step that follows adds to the parameters.
    preconditioner : Tensor, shape (n_parameters,), optional
        sqrt(v / (1 - beta2^t)) + epsilon of the Adam family: what a step is divided by.
    learning_rate, weight_decay, momentum : float, optional
        Of the step that follows; the momentum is SGD's, or the first beta.
    """

    step: int
    parameters: Tensor
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    update: Tensor | None = None
    preconditioner: Tensor | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None

    @property
    def norm(self) -> float:
        """Euclidean norm of the parameters."""
        return float(self.parameters.norm())


def take_snapshot(
    module: nn.Module, optimizer: torch.optim.Optimizer | None = None, step: int = 0
) -> Snapshot:
    """Copy a network's state, and what its optimiser knows, to the CPU."""
    trainable = trainable_parameters(module)
    told: dict[str, Any] = {}
    if optimizer is not None:
        told = _of_groups(optimizer.param_groups)
        told["preconditioner"] = _preconditioner(list(trainable.values()), optimizer)
    return Snapshot(
        step,
        flatten(trainable.values()).cpu(),
        {name: buffer.detach().cpu().clone() for name, buffer in module.named_buffers()},
        **told,
    )


def _of_groups(groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rate, decay and momentum of the group with the most parameters."""

    def size(group: Mapping[str, Any]) -> int:
        return sum(p.numel() if isinstance(p, Tensor) else 1 for p in group["params"])

    largest = max(groups, key=size)
    betas = largest.get("betas")
    momentum = betas[0] if betas else largest.get("momentum")
    values = (largest.get("lr"), largest.get("weight_decay"), momentum)
    told = [None if value is None else float(value) for value in values]
    return dict(zip(("learning_rate", "weight_decay", "momentum"), told, strict=True))


def _preconditioner(
    parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
) -> Tensor | None:
    options = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    pieces = []
    for parameter in parameters:
        group, state = options.get(id(parameter)), optimizer.state.get(parameter, {})
        piece = None if group is None else _adam_root(state, group)
        if piece is None:
            return None
        pieces.append(piece)
    return flatten(pieces).cpu()


def _adam_root(state: Mapping[str, Any], group: Mapping[str, Any]) -> Tensor | None:
    """Return what Adam's next step would divide by, had the second moment stayed as it is."""
    if "exp_avg_sq" not in state or "betas" not in group:
        return None
    correction = 1.0 - float(group["betas"][1]) ** float(state["step"])
    if correction <= 0:
        return None
    root: Tensor = (state["exp_avg_sq"].detach() / correction).sqrt() + group.get("eps", 1e-8)
    return root


def read_checkpoint(path: str | Path, module: nn.Module) -> Snapshot:
    """Read the parameters of ``module`` from a checkpoint file.

    Parameters
    ----------
    path : str or Path
        What Lightning's Trainer wrote, or ``torch.save`` of a state dictionary, or of a mapping
        that has one under ``state_dict``, ``model_state_dict`` or ``model``. Nothing in the file is
        executed (``weights_only=True``).
    module : nn.Module
        Names and shapes of the parameters; it is not changed.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or its parameters are not this module's.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # unpickling may raise any, says Python's documentation
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is no checkpoint that can be read safely: {reason}") from error
    state = _state_dict(saved, path)
    trainable, buffers = trainable_parameters(module), dict(module.named_buffers())
    prefix = _prefix(list(trainable), state, path)
    pieces = []
    for name, parameter in trainable.items():
        piece = state[prefix + name]
        if piece.shape != parameter.shape:
            raise ValueError(
                f"{name} has shape {tuple(piece.shape)} in {path}, "
                f"the module's has {tuple(parameter.shape)}; build the module as it was trained"
            )
        pieces.append(piece.to(parameter.dtype))
    told = _of_saved_optimiser(saved, list(trainable.values()))
    return Snapshot(
        int(saved.get("global_step", saved.get("step", 0))),
        flatten(pieces),
        {name: state[prefix + name] for name in buffers if prefix + name in state},
        **told,
    )


def _state_dict(saved: Any, path: str | Path) -> Mapping[str, Tensor]:
    if isinstance(saved, Mapping):
        for key in ("state_dict", "model_state_dict", "model"):
            if isinstance(saved.get(key), Mapping):
                inner: Mapping[str, Tensor] = saved[key]
                return inner
        if saved and all(isinstance(value, Tensor) for value in saved.values()):
            return saved
    raise ValueError(f"{path} holds no state dictionary")


def _prefix(names: Sequence[str], state: Mapping[str, Tensor], path: str | Path) -> str:
    """Return what stands before the names in a checkpoint of a module that holds this one."""
    suffix = "." + names[0]
    tried = ["", *(key.removesuffix(names[0]) for key in state if key.endswith(suffix))]
    for prefix in tried:
        if all(prefix + name in state for name in names):
            return prefix
    missing = next(name for name in names if name not in state)
    raise ValueError(
        f"{path} has no parameter {missing!r} (nor under a common prefix); "
        "build the module as it was trained"
    )


def _of_saved_optimiser(saved: Any, parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """Return what a checkpoint says of the optimiser, if it has the same parameters."""
    states = saved.get("optimizer_states") or [saved.get("optimizer")]
    if len(states) != 1 or not isinstance(states[0], Mapping) or "param_groups" not in states[0]:
        return {}
    groups, state = states[0]["param_groups"], states[0]["state"]
    told = _of_groups(groups)
    order = [(index, group) for group in groups for index in group["params"]]
    # Several groups are in an order of their own, in which equal shapes may be exchanged.
    if len(groups) != 1 or len(order) != len(parameters):
        return told
    pieces = []
    for parameter, (index, group) in zip(parameters, order, strict=True):
        piece = _adam_root(state.get(index, {}), group)
        if piece is None or piece.shape != parameter.shape:
            return told
        pieces.append(piece)
    return {**told, "preconditioner": flatten(pieces)}
