"""Networks on vectors: of real numbers, or of tokens laid out one-hot before training starts."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.layers import ACTIVATIONS, Dropout, Initial, Parameters, apply, linear
from grokpredict.sweeps.tasks import Dataset

#: Scores of tokens that lie further below the highest one get no attention.
LEAST_SCORE = -60.0


class DenseMLP:
    """Multi-layer perceptron, with or without biases; of depth 0 it is a linear map.

    Embedded tokens are concatenated; their table is one for all positions (``tied``) or one for
    each. The mean-field parametrisation divides the output by the width and starts its weights
    at variance 1; Mei, Montanari, Nguyen 2018, arXiv 1804.06561.
    """

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        self.activation = ACTIVATIONS[config.activation]
        self.depth, self.tied = config.depth, config.tied
        self.vocabulary = data.vocabulary
        self.embedding = config.embedding if data.vocabulary else 0
        fan_in = data.inputs.shape[1]
        self.initial: dict[str, Initial] = {}
        if self.embedding:
            self.length = fan_in // data.vocabulary
            tables = () if self.tied else (self.length,)
            shape = (*tables, data.vocabulary, self.embedding)
            self.initial["embedding"] = Initial(shape, std=1.0)
            fan_in = self.length * self.embedding
        kind, bias = config.parametrisation, config.bias
        for layer in range(self.depth):
            linear(
                self.initial, f"hidden{layer}", fan_in, config.width,
                parametrisation=kind, bias=bias,
            )  # fmt: skip
            fan_in = config.width
        linear(self.initial, "output", fan_in, data.n_outputs, parametrisation=kind, bias=bias)
        self.gain = 1.0
        if kind == "mean_field":
            self.initial["output.weight"] = Initial((fan_in, data.n_outputs), std=1.0)
            self.gain = 1.0 / fan_in

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map vectors (n_runs, batch, dim) to (n_runs, batch, n_outputs)."""
        x = inputs
        for layer in range(self.depth):
            x = apply(params, f"hidden{layer}", x) if layer else self._first(params, x)
            x = dropout(self.activation(x))
        return apply(params, "output", x if self.gain == 1.0 else x * self.gain)

    def _first(self, params: Parameters, inputs: Tensor) -> Tensor:
        if not self.embedding:
            return apply(params, "hidden0", inputs)
        # Embeddings times weights first: there are fewer tokens than samples.
        table, weight = params["embedding"], params["hidden0.weight"]
        n_runs = len(weight)
        if self.tied:
            table = table.unsqueeze(1).expand(-1, self.length, -1, -1)
        rows = torch.bmm(
            table.reshape(n_runs * self.length, self.vocabulary, self.embedding),
            weight.reshape(n_runs * self.length, self.embedding, -1),
        )
        weights = {"rows.weight": rows.view(n_runs, self.length * self.vocabulary, -1)}
        if "hidden0.bias" in params:
            weights["rows.bias"] = params["hidden0.bias"]
        return apply(weights, "rows", inputs)


class OneLayerTransformer:
    """Transformer of one layer over one-hot tokens and ``=``, answering at the latter.

    The answer asks the same question of every sample, so keys and values depend only on token and
    position, and attention is a ratio of two sums over a sample's tokens. It is the network of
    :class:`~grokpredict.sweeps.models.Transformer` in fewer operations.
    """

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        if config.heads < 1 or config.width % config.heads:
            raise ValueError(
                f"the width must be a multiple of heads, got {config.width} and {config.heads}"
            )
        self.activation = ACTIVATIONS[config.activation]
        self.heads, self.norm = config.heads, config.layer_norm
        d, self.vocabulary = config.width, data.vocabulary
        self.length = data.inputs.shape[1] // data.vocabulary
        std = config.embedding_std or 1.0 / math.sqrt(d)
        kind = config.parametrisation
        self.initial = {
            "embedding": Initial((self.vocabulary + 1, d), std=std),
            "position": Initial((self.length + 1, d), std=std),
        }
        for name in ("query0", "key0", "value0", "mix0"):
            linear(self.initial, name, d, d, parametrisation=kind)
        linear(self.initial, "up0", d, 4 * d, parametrisation=kind)
        linear(self.initial, "down0", 4 * d, d, parametrisation=kind)
        if self.norm:
            for name in ("norm0", "norm_mlp0", "norm_out"):
                self.initial[f"{name}.gain"] = Initial((d,), value=1.0)
                self.initial[f"{name}.shift"] = Initial((d,))
        linear(self.initial, "output", d, data.n_outputs, parametrisation=kind)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map one-hot tokens (n_runs, batch, length * vocabulary) to (n_runs, batch, n_outputs)."""
        embedding, position = params["embedding"], params["position"]
        n_runs, d = len(embedding), embedding.shape[2]
        tokens = embedding[:, None, :-1] + position[:, :-1, None]
        last = embedding[:, -1:] + position[:, -1:]
        rows = torch.cat([tokens.reshape(n_runs, -1, d), last], dim=1)
        x = last + apply(params, "mix0", self._attend(params, rows, inputs))
        hidden = apply(params, "up0", self._normed(params, "norm_mlp0", x))
        x = x + apply(params, "down0", dropout(self.activation(hidden)))
        return apply(params, "output", self._normed(params, "norm_out", x))

    def _attend(self, params: Parameters, rows: Tensor, inputs: Tensor) -> Tensor:
        normed = self._normed(params, "norm0", rows)
        n_runs, n_rows, d = rows.shape
        split = (n_runs, n_rows, self.heads, d // self.heads)
        query = apply(params, "query0", normed[:, -1:]).view(n_runs, 1, self.heads, -1)
        key = apply(params, "key0", normed).view(split)
        value = apply(params, "value0", normed).view(split)
        scores = (query * key).sum(-1) / math.sqrt(d // self.heads)
        scores = scores - scores.amax(dim=1, keepdim=True).detach()
        shares = scores.clamp(min=LEAST_SCORE).exp()
        weighted = (shares.unsqueeze(-1) * value).flatten(2)
        sums = torch.cat([weighted, shares], dim=2)
        # The last row is "=", which every sample holds.
        summed = torch.baddbmm(sums[:, -1:], inputs, sums[:, :-1])
        above = summed[..., :d].view(n_runs, -1, self.heads, d // self.heads)
        return torch.flatten(above / summed[..., d:].unsqueeze(-1), 2)

    def _normed(self, params: Parameters, name: str, x: Tensor) -> Tensor:
        if not self.norm:
            return x
        gain, shift = params[f"{name}.gain"], params[f"{name}.shift"]
        return torch.addcmul(shift[:, None], functional.layer_norm(x, x.shape[-1:]), gain[:, None])
