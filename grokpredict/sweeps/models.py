"""Stacked networks: one forward pass computes many independent networks of one shape.

A run on its own is a stack of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.dense import DenseMLP, OneLayerTransformer
from grokpredict.sweeps.graph_network import GraphNetwork
from grokpredict.sweeps.layers import (
    ACTIVATIONS,
    Dropout,
    Initial,
    Parameters,
    StackedModel,
    apply,
    linear,
    lookup,
    lookup_sum,
)
from grokpredict.sweeps.recurrent import GRU, LSTM
from grokpredict.sweeps.tasks import Dataset


def build(config: RunConfig, data: Dataset) -> StackedModel:
    """Return the stacked network that ``config`` asks for, on inputs such as ``data``'s."""
    dense = data.one_hot or (config.generation > 1 and not data.vocabulary)
    if config.architecture == "mlp":
        return DenseMLP(config, data) if dense else MLP(config, data)
    if config.architecture == "transformer":
        return OneLayerTransformer(config, data) if data.one_hot else Transformer(config, data)
    others: dict[str, Callable[[RunConfig, Dataset], StackedModel]] = {
        "gru": GRU, "lstm": LSTM, "gcn": GraphNetwork,
    }  # fmt: skip
    if config.architecture not in others:
        raise ValueError(
            f"architecture must be mlp, transformer, {', '.join(others)}, "
            f"got {config.architecture!r}"
        )
    return others[config.architecture](config, data)


def laid_out(config: RunConfig, data: Dataset) -> Dataset:
    """Return the data as the network of ``config`` reads them.

    From generation 2 on, MLPs and one-layer transformers read tokens as one-hot vectors, made once
    for all steps: a product with them costs less than looking rows up and adding up gradients.
    """
    dense = config.architecture == "mlp" or (
        config.architecture == "transformer" and config.depth == 1
    )
    return data.as_one_hot() if config.generation > 1 and data.vocabulary and dense else data


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
            linear(self.initial, f"hidden{layer}", fan_in, config.width)
            fan_in = config.width
        linear(self.initial, "output", fan_in, data.n_outputs)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens or numbers (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        x = inputs
        for layer in range(self.depth):
            x = apply(params, f"hidden{layer}", x) if layer else self._first(params, x)
            x = dropout(self.activation(x))
        return apply(params, "output", x)

    def _first(self, params: Parameters, inputs: Tensor) -> Tensor:
        if self.embedding:
            embedded = lookup(params["embedding"], inputs)
            return apply(params, "hidden0", embedded.flatten(2))
        if self.vocabulary:
            # The product with one-hot vectors is a sum of rows, one for each position.
            shift = torch.arange(inputs.shape[2], device=inputs.device) * self.vocabulary
            summed = lookup_sum(params["hidden0.weight"], inputs + shift)
            return summed + params["hidden0.bias"].unsqueeze(1)
        return apply(params, "hidden0", inputs)


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
                linear(self.initial, f"{name}{layer}", d, d)
            linear(self.initial, f"up{layer}", d, 4 * d)
            linear(self.initial, f"down{layer}", 4 * d, d)
        if self.norm:
            for name in [f"{n}{i}" for i in range(self.depth) for n in ("norm", "norm_mlp")]:
                self._norm(name, d)
            self._norm("norm_out", d)
        linear(self.initial, "output", d, data.n_outputs)

    def _norm(self, name: str, d: int) -> None:
        self.initial[f"{name}.gain"] = Initial((d,), value=1.0)
        self.initial[f"{name}.shift"] = Initial((d,))

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        tokens = functional.pad(inputs, (0, 1), value=self.equals)
        x = lookup(params["embedding"], tokens) + params["position"].unsqueeze(1)
        for layer in range(self.depth):
            # Only the last token is read out: the last layer computes nothing for the others.
            last = layer == self.depth - 1
            asked = x[:, :, -1:] if last else x
            x = asked + self._attend(params, layer, x, 1 if last else x.shape[2])
            hidden = self._map(params, f"up{layer}", self._normed(params, f"norm_mlp{layer}", x))
            x = x + self._map(params, f"down{layer}", dropout(self.activation(hidden)))
        return apply(params, "output", self._normed(params, "norm_out", x).squeeze(2))

    def _normed(self, params: Parameters, name: str, x: Tensor) -> Tensor:
        if not self.norm:
            return x
        gain, shift = params[f"{name}.gain"], params[f"{name}.shift"]
        return torch.addcmul(
            shift[:, None, None], functional.layer_norm(x, x.shape[-1:]), gain[:, None, None]
        )

    def _map(self, params: Parameters, name: str, x: Tensor) -> Tensor:
        n_runs, batch, length, dim = x.shape
        flat = apply(params, name, x.reshape(n_runs, batch * length, dim))
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
