"""The samples that the runs of a stack train on, and those that they are evaluated on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.tasks import Dataset

#: At most so many samples of the training and of the validation set are evaluated.
EVALUATE_SAMPLES = 1024


class Split:
    """Training and validation sets of a stack, one row a run, padded to one length.

    Parameters
    ----------
    configs : sequence of RunConfig
        The runs.
    data : Dataset
        What they share.
    generators : sequence of torch.Generator
        One a run: each draws the training set, then its wrong labels.
    device, dtype
        Of real-valued inputs and targets; tokens and classes stay integers.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        data: Dataset,
        generators: Sequence[torch.Generator],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.inputs = _tensor(data.inputs, dtype).to(device)
        targets = _tensor(data.targets, dtype)
        self.targets = targets.to(device)
        self.batch_size = configs[0].batch_size
        self.passes = [torch.empty(0, dtype=torch.long) for _ in configs]
        total = len(data.inputs)
        train, val, labels = [], [], []
        for config, generator in zip(configs, generators, strict=True):
            shuffled = torch.randperm(total, generator=generator)
            size = min(max(round(config.train_fraction * total), 1), total - 1)
            train.append(shuffled[:size])
            val.append(shuffled[size:][:EVALUATE_SAMPLES])
            labels.append(_noisy(config.label_noise, targets, train[-1], data, generator))
        self.sizes = [len(t) for t in train]
        self.train, self.train_mask = (x.to(device) for x in _pad(train))
        self.val, self.val_mask = (x.to(device) for x in _pad(val))
        self.train_targets = torch.stack(labels).to(device)
        self._number_rows()

    def _number_rows(self) -> None:
        device = self.train_targets.device
        self.rows = torch.arange(len(self.train_targets), device=device).unsqueeze(1)

    def samples(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs and the labels, perhaps wrong ones, at (n_runs, n) of the samples."""
        return self.inputs[index], self.train_targets[self.rows, index]

    def evaluated(self) -> tuple[Tensor, Tensor]:
        """Return which training samples are evaluated, and the weight of each in its run's mean."""
        mask = self.train_mask[:, :EVALUATE_SAMPLES]
        return self.train[:, :EVALUATE_SAMPLES], mask / mask.sum(dim=1, keepdim=True)

    def draw_batches(self, n_steps: int, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw sample indices (n_runs, n_steps, batch): one shuffled pass after another."""
        draws = []
        for row, generator in enumerate(generators):
            need = n_steps * self.batch_size
            parts, have = [self.passes[row]], len(self.passes[row])
            while have < need:
                parts.append(torch.randperm(self.sizes[row], generator=generator))
                have += self.sizes[row]
            stream = torch.cat(parts)
            draws.append((stream[:need].view(n_steps, self.batch_size), stream[need:]))
        self.passes = [rest for _, rest in draws]
        drawn = torch.stack([batch for batch, _ in draws]).to(self.train.device)
        return self.train[self.rows.unsqueeze(2), drawn]

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self.sizes = [self.sizes[row] for row in kept]
        self.passes = [self.passes[row] for row in kept]
        index = torch.tensor(kept, dtype=torch.long, device=self.train.device)
        self.train, self.train_mask = _trim(self.train[index], self.train_mask[index])
        self.val, self.val_mask = _trim(self.val[index], self.val_mask[index])
        self.train_targets = self.train_targets[index]
        self._number_rows()


def _tensor(values: NDArray[np.int64] | NDArray[np.float32], dtype: torch.dtype) -> Tensor:
    tensor = torch.as_tensor(values)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _noisy(
    share: float, targets: Tensor, train: Tensor, data: Dataset, generator: torch.Generator
) -> Tensor:
    """Return the targets, those of a share of the training samples drawn at random."""
    if not share:
        return targets
    wrong = train[: round(share * len(train))]
    targets = targets.clone()
    targets[wrong] = torch.randint(data.n_outputs, (len(wrong),), generator=generator)
    return targets


def _pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack index rows of unequal length; the mask averages over each row's real entries."""
    width = max(len(r) for r in rows)
    index = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        index[i, : len(row)] = row
        mask[i, : len(row)] = 1.0 / len(row)
    return index, mask


def _trim(index: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop columns that are padding in every row."""
    width = int((mask > 0).sum(dim=1).max())
    return index[:, :width].contiguous(), mask[:, :width].contiguous()
