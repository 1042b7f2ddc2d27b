"""Stacked networks: one forward pass computes many independent networks of one shape.

Every parameter has a leading axis over the runs of the stack, and every matrix product is a
batched one. A run on its own is a stack of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.tasks import Dataset

Parameters = Mapping[str, Tensor]
Dropout = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "square": torch.square,
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


def build(config: RunConfig, data: Dataset) -> StackedModel:
    """Return the stacked network that ``config`` asks for, on inputs such as ``data``'s."""
    if config.architecture == "mlp":
        return MLP(config, data)
    if config.architecture == "transformer":
        return Transformer(config, data)
    if config.architecture == "gru":
        return GRU(config, data)
    raise ValueError(f"architecture must be mlp, transformer or gru, got {config.architecture!r}")


def _linear(initial: dict[str, Initial], name: str, fan_in: int, fan_out: int) -> None:
    bound = 1.0 / math.sqrt(fan_in)
    initial[f"{name}.weight"] = Initial((fan_in, fan_out), bound=bound)
    initial[f"{name}.bias"] = Initial((fan_out,), bound=bound)


def _apply(params: Parameters, name: str, x: Tensor) -> Tensor:
    """Affine map of x (n_runs, batch, fan_in), each run with its own weights."""
    return torch.baddbmm(params[f"{name}.bias"].unsqueeze(1), x, params[f"{name}.weight"])


def _offset(table: Tensor, tokens: Tensor) -> Tensor:
    """Turn tokens (n_runs, batch, length) into rows of all the runs' tables laid end to end."""
    n_runs, n_rows, _ = table.shape
    return tokens + (torch.arange(n_runs, device=tokens.device) * n_rows).view(-1, 1, 1)


def _lookup(table: Tensor, tokens: Tensor) -> Tensor:
    """Rows of table (n_runs, n_rows, dim): (n_runs, batch, length, dim)."""
    return F.embedding(_offset(table, tokens), table.reshape(-1, table.shape[2]))


def _lookup_sum(table: Tensor, tokens: Tensor) -> Tensor:
    """Sum each sample's rows of table (n_runs, n_rows, dim): (n_runs, batch, dim)."""
    n_runs, batch, length = tokens.shape
    rows = _offset(table, tokens).view(-1, length)
    summed = F.embedding_bag(rows, table.reshape(-1, table.shape[2]), mode="sum")
    return summed.view(n_runs, batch, -1)


class MLP:
    """Multi-layer perceptron on one-hot tokens, embedded tokens, or real numbers."""

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        self.activation = ACTIVATIONS[config.activation]
        self.depth = config.depth
        self.vocabulary = data.vocabulary
        self.embedding = config.embedding if data.vocabulary else 0
        length = data.inputs.shape[1]
        fan_in = length * (data.vocabulary or 1)
        self.initial: dict[str, Initial] = {}
        if self.embedding:
            self.initial["embedding"] = Initial((data.vocabulary, self.embedding), std=1.0)
            fan_in = length * self.embedding
        for layer in range(self.depth):
            _linear(self.initial, f"hidden{layer}", fan_in, config.width)
            fan_in = config.width
        _linear(self.initial, "output", fan_in, data.n_outputs)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens or numbers (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        x = inputs
        for layer in range(self.depth):
            x = _apply(params, f"hidden{layer}", x) if layer else self._first(params, x)
            x = dropout(self.activation(x))
        return _apply(params, "output", x)

    def _first(self, params: Parameters, inputs: Tensor) -> Tensor:
        if self.embedding:
            embedded = _lookup(params["embedding"], inputs)
            return _apply(params, "hidden0", embedded.flatten(2))
        if self.vocabulary:
            # The product with one-hot vectors is a sum of rows, one for each position.
            shift = torch.arange(inputs.shape[2], device=inputs.device) * self.vocabulary
            summed = _lookup_sum(params["hidden0.weight"], inputs + shift)
            return summed + params["hidden0.bias"].unsqueeze(1)
        return _apply(params, "hidden0", inputs)


class Transformer:
    """Causal transformer over ``a b =`` that answers at the last token.

    Layer norm, where there is any, stands in front of each block and at the end (pre-norm).
    """

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        if not data.vocabulary:
            raise ValueError("a transformer needs tokens, this task has real-valued inputs")
        if config.heads < 1 or config.width % config.heads:
            raise ValueError(
                f"the width must be a multiple of heads, got {config.width} and {config.heads}"
            )
        self.activation = ACTIVATIONS[config.activation]
        self.depth, self.heads, self.norm = config.depth, config.heads, config.layer_norm
        self.equals = data.vocabulary
        d, length = config.width, data.inputs.shape[1] + 1
        std = 1.0 / math.sqrt(d)
        self.initial = {
            "embedding": Initial((data.vocabulary + 1, d), std=std),
            "position": Initial((length, d), std=std),
        }
        for layer in range(self.depth):
            for name in ("query", "key", "value", "mix"):
                _linear(self.initial, f"{name}{layer}", d, d)
            _linear(self.initial, f"up{layer}", d, 4 * d)
            _linear(self.initial, f"down{layer}", 4 * d, d)
        if self.norm:
            for name in [f"{n}{i}" for i in range(self.depth) for n in ("norm", "norm_mlp")]:
                self._norm(name, d)
            self._norm("norm_out", d)
        _linear(self.initial, "output", d, data.n_outputs)

    def _norm(self, name: str, d: int) -> None:
        self.initial[f"{name}.gain"] = Initial((d,), value=1.0)
        self.initial[f"{name}.shift"] = Initial((d,))

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        tokens = F.pad(inputs, (0, 1), value=self.equals)
        x = _lookup(params["embedding"], tokens) + params["position"].unsqueeze(1)
        for layer in range(self.depth):
            # Only the last token is read out: the last layer computes nothing for the others.
            last = layer == self.depth - 1
            asked = x[:, :, -1:] if last else x
            x = asked + self._attend(params, layer, x, 1 if last else x.shape[2])
            hidden = self._map(params, f"up{layer}", self._normed(params, f"norm_mlp{layer}", x))
            x = x + self._map(params, f"down{layer}", dropout(self.activation(hidden)))
        return _apply(params, "output", self._normed(params, "norm_out", x).squeeze(2))

    def _normed(self, params: Parameters, name: str, x: Tensor) -> Tensor:
        if not self.norm:
            return x
        gain, shift = params[f"{name}.gain"], params[f"{name}.shift"]
        return torch.addcmul(
            shift[:, None, None], F.layer_norm(x, x.shape[-1:]), gain[:, None, None]
        )

    def _map(self, params: Parameters, name: str, x: Tensor) -> Tensor:
        n_runs, batch, length, dim = x.shape
        flat = _apply(params, name, x.reshape(n_runs, batch * length, dim))
        return flat.view(n_runs, batch, length, -1)

    def _attend(self, params: Parameters, layer: int, x: Tensor, n_queries: int) -> Tensor:
        n_runs, batch, length, d = x.shape
        normed = self._normed(params, f"norm{layer}", x)
        split = (n_runs, batch, -1, self.heads, d // self.heads)
        q = self._map(params, f"query{layer}", normed[:, :, -n_queries:]).view(split)
        k = self._map(params, f"key{layer}", normed).view(split)
        v = self._map(params, f"value{layer}", normed).view(split)
        # Three tokens: products and sums beat a matrix product for each head of each sample.
        scores = (q.unsqueeze(3) * k.unsqueeze(2)).sum(-1) / math.sqrt(d // self.heads)
        if n_queries > 1:
            future = torch.ones(length, length, device=x.device).triu(1).bool()
            scores = scores.masked_fill(future[:, :, None], -math.inf)
        weights = scores.softmax(dim=3)
        mixed = (weights.unsqueeze(-1) * v.unsqueeze(2)).sum(dim=3)
        return self._map(params, f"mix{layer}", mixed.flatten(3))


class GRU:
    """Gated recurrent unit over the tokens, as in PyTorch's nn.GRU, answering at the last."""

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        if not data.vocabulary:
            raise ValueError("a GRU needs tokens, this task has real-valued inputs")
        self.width, dim = config.width, config.embedding or config.width
        self.initial = {"embedding": Initial((data.vocabulary, dim), std=1.0)}
        bound = 1.0 / math.sqrt(self.width)
        for name, fan_in in (("input", dim), ("recurrent", self.width)):
            self.initial[f"{name}.weight"] = Initial((fan_in, 3 * self.width), bound=bound)
            self.initial[f"{name}.bias"] = Initial((3 * self.width,), bound=bound)
        _linear(self.initial, "output", self.width, data.n_outputs)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        embedded = _lookup(params["embedding"], inputs)
        hidden = embedded.new_zeros(*inputs.shape[:2], self.width)
        for position in range(inputs.shape[2]):
            gates = _apply(params, "input", embedded[:, :, position]).chunk(3, dim=2)
            memory = _apply(params, "recurrent", hidden).chunk(3, dim=2)
            reset = torch.sigmoid(gates[0] + memory[0])
            update = torch.sigmoid(gates[1] + memory[1])
            candidate = torch.tanh(gates[2] + reset * memory[2])
            hidden = torch.lerp(candidate, hidden, update)
        return _apply(params, "output", dropout(hidden))
