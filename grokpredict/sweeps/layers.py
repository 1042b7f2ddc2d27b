"""What stacked networks are built of: initial values, affine maps and lookups.

Every parameter has a leading axis over the runs of the stack, and every matrix product is a
batched one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Parameters = Mapping[str, Tensor]
Dropout = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "square": torch.square,
    "identity": lambda x: x,
}


@dataclass(frozen=True)
class Initial:
    """Shape of one parameter and the distribution that it starts from."""

    shape: tuple[int, ...]
    bound: float = 0.0  # uniform in (-bound, bound), as nn.Linear
    std: float = 0.0  # normal, as nn.Embedding
    value: float = 0.0  # constant, as nn.LayerNorm

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw one run's initial values on the CPU, so that every device starts alike."""
        values = torch.full(self.shape, self.value)
        if self.bound:
            values.uniform_(-self.bound, self.bound, generator=generator)
        elif self.std:
            values.normal_(0.0, self.std, generator=generator)
        return values


class StackedModel(Protocol):
    """A network without its parameters."""

    initial: dict[str, Initial]

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map inputs (n_runs, batch, ...) to outputs (n_runs, batch, n_outputs)."""
        ...


def linear(
    initial: dict[str, Initial],
    name: str,
    fan_in: int,
    fan_out: int,
    *,
    parametrisation: str = "pytorch",
    bias: bool = True,
) -> None:
    """Add the weight and the bias of an affine map to ``initial``.

    PyTorch draws both uniformly up to 1 / sqrt(fan-in). The other parametrisations start biases at
    zero and weights as normal numbers of variance 1 / fan-in ("fan_in", "mean_field") or as Glorot
    & Bengio 2010 do ("xavier").
    """
    bound = 1.0 / math.sqrt(fan_in)
    weight = {
        "pytorch": Initial((fan_in, fan_out), bound=bound),
        "fan_in": Initial((fan_in, fan_out), std=bound),
        "mean_field": Initial((fan_in, fan_out), std=bound),
        "xavier": Initial((fan_in, fan_out), bound=math.sqrt(6.0 / (fan_in + fan_out))),
    }
    initial[f"{name}.weight"] = weight[parametrisation]
    if bias:
        start = bound if parametrisation == "pytorch" else 0.0
        initial[f"{name}.bias"] = Initial((fan_out,), bound=start)


def apply(params: Parameters, name: str, x: Tensor) -> Tensor:
    """Affine map of x (n_runs, batch, fan_in), each run with its own weights."""
    bias = params.get(f"{name}.bias")
    if bias is None:
        return torch.bmm(x, params[f"{name}.weight"])
    return torch.baddbmm(bias.unsqueeze(1), x, params[f"{name}.weight"])


def _offset(table: Tensor, tokens: Tensor) -> Tensor:
    """Turn tokens (n_runs, batch, length) into rows of all the runs' tables laid end to end."""
    n_runs, n_rows, _ = table.shape
    return tokens + (torch.arange(n_runs, device=tokens.device) * n_rows).view(-1, 1, 1)


def lookup(table: Tensor, tokens: Tensor) -> Tensor:
    """Rows of table (n_runs, n_rows, dim): (n_runs, batch, length, dim)."""
    return functional.embedding(_offset(table, tokens), table.reshape(-1, table.shape[2]))


def lookup_sum(table: Tensor, tokens: Tensor) -> Tensor:
    """Sum each sample's rows of table (n_runs, n_rows, dim): (n_runs, batch, dim)."""
    n_runs, batch, length = tokens.shape
    rows = _offset(table, tokens).view(-1, length)
    summed = functional.embedding_bag(rows, table.reshape(-1, table.shape[2]), mode="sum")
    return summed.view(n_runs, batch, -1)
