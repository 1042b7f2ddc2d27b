"""Recurrent networks, as PyTorch's nn.GRU and nn.LSTM, answering at the last token."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.layers import Dropout, Initial, Parameters, apply, linear, lookup
from grokpredict.sweeps.tasks import Dataset


def _gates(name: str, n_gates: int, config: RunConfig, data: Dataset) -> dict[str, Initial]:
    if not data.vocabulary:
        raise ValueError(f"a {name} needs tokens, this task has real-valued inputs")
    width, dim = config.width, config.embedding or config.width
    initial = {"embedding": Initial((data.vocabulary, dim), std=1.0)}
    bound = 1.0 / math.sqrt(width)
    for part, fan_in in (("input", dim), ("recurrent", width)):
        initial[f"{part}.weight"] = Initial((fan_in, n_gates * width), bound=bound)
        initial[f"{part}.bias"] = Initial((n_gates * width,), bound=bound)
    return initial


class GRU:
    """Gated recurrent unit over the tokens, as in PyTorch's nn.GRU, answering at the last."""

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        self.width = config.width
        self.initial = _gates("GRU", 3, config, data)
        linear(self.initial, "output", self.width, data.n_outputs)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        embedded = lookup(params["embedding"], inputs)
        hidden = embedded.new_zeros(*inputs.shape[:2], self.width)
        for position in range(inputs.shape[2]):
            gates = apply(params, "input", embedded[:, :, position]).chunk(3, dim=2)
            memory = apply(params, "recurrent", hidden).chunk(3, dim=2)
            reset = torch.sigmoid(gates[0] + memory[0])
            update = torch.sigmoid(gates[1] + memory[1])
            candidate = torch.tanh(gates[2] + reset * memory[2])
            hidden = torch.lerp(candidate, hidden, update)
        return apply(params, "output", dropout(hidden))


class LSTM:
    """Long short-term memory over the tokens."""

    def __init__(self, config: RunConfig, data: Dataset) -> None:
        self.width = config.width
        self.initial = _gates("LSTM", 4, config, data)
        linear(self.initial, "output", self.width, data.n_outputs)

    def __call__(self, params: Parameters, inputs: Tensor, dropout: Dropout) -> Tensor:
        """Map tokens (n_runs, batch, length) to (n_runs, batch, n_outputs)."""
        embedded = lookup(params["embedding"], inputs)
        hidden = embedded.new_zeros(*inputs.shape[:2], self.width)
        cell = hidden
        for position in range(inputs.shape[2]):
            gates = apply(params, "input", embedded[:, :, position])
            gates = gates + apply(params, "recurrent", hidden)
            enter, forget, candidate, leave = gates.chunk(4, dim=2)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
        return apply(params, "output", dropout(hidden))
