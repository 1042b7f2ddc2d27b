"""Graph convolutions."""

from __future__ import annotations

import torch
from torch import Tensor

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.layers import ACTIVATIONS, Dropout, Initial, Parameters, apply, linear
from grokpredict.sweeps.tasks import Dataset


class GraphNetwork:
    """Graph convolutions and a mean over the nodes; Kipf & Welling 2017, arXiv 1609.02907.

    A sample is a row: the normalised adjacency of ``bits`` nodes, then their kinds one-hot.
    """

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        self.activation = ACTIVATIONS[config.activation]
        self.depth, self.nodes = config.depth, config.bits
        fan_in = data.inputs.shape[1] // self.nodes - self.nodes
        self.initial: dict[str, Initial] = {}
        for layer in range(self.depth):
            linear(
                self.initial, f"hidden{layer}", fan_in, config.width,
                parametrisation=config.parametrisation,
            )  # fmt: skip
            fan_in = config.width
        linear(self.initial, "output", fan_in, data.n_outputs)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map graphs (n_runs, batch, nodes * (nodes + kinds)) to (n_runs, batch, n_outputs)."""
        n_runs, batch, _ = inputs.shape
        m = self.nodes
        adjacency = inputs[..., : m * m].reshape(n_runs * batch, m, m)
        x = inputs[..., m * m :].reshape(n_runs, batch * m, -1)
        for layer in range(self.depth):
            mapped = apply(params, f"hidden{layer}", x).view(n_runs * batch, m, -1)
            x = self.activation(torch.bmm(adjacency, mapped)).view(n_runs, batch * m, -1)
        return apply(params, "output", dropout(x.view(n_runs, batch, m, -1).mean(dim=2)))
