"""Noise of the gradient, and how steeply the loss rises around a point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grokpredict.diagnosis.landscape import Landscape


@dataclass(frozen=True)
class GradientNoise:
    """Spread of the gradients of single samples.

    Attributes
    ----------
    trace : float
        tr(C), the sum of the variances of a sample's gradient.
    squared_norm : float
        |G|^2 of the whole distribution, without bias; negative where noise hides it.
    n_samples : int
        That it is estimated from.
    """

    trace: float
    squared_norm: float
    n_samples: int

    @property
    def critical_batch(self) -> float:
        """tr(C) / |G|^2, the batch size beyond which larger batches no longer help.

        McCandlish et al. 2018, arXiv 1812.06162, "simple noise scale". Infinite where the gradient
        cannot be told from noise.
        """
        return self.trace / self.squared_norm if self.squared_norm > 0 else float("inf")


def gradient_noise(landscape: Landscape, at: Tensor, most: int = 256) -> GradientNoise:
    """Measure the gradients of single samples of a batch.

    Parameters
    ----------
    landscape : Landscape
        Whose inputs and targets are tensors, the first axis counting samples, and whose loss is a
        mean over them.
    at : Tensor, shape (n_parameters,)
        The parameters.
    most : int
        Samples to use, from the first on.

    Raises
    ------
    ValueError
        If the batch is not of tensors, or has a single sample.
    """
    inputs, targets = landscape.batch
    if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor):
        raise ValueError("the gradient noise needs inputs and targets that are tensors")
    n = min(most, len(inputs))
    if n < 2:
        raise ValueError(f"the gradient noise needs 2 or more samples, got {n}")
    total, squares = torch.zeros_like(at), 0.0
    for i in range(n):
        batch = inputs[i : i + 1], targets[i : i + 1]
        one = Landscape(landscape.module, landscape.loss, batch, buffers=landscape.buffers)
        gradient = one.gradient(at)
        total += gradient
        squares += float(gradient.double().square().sum())
    mean = float((total / n).double().square().sum())
    trace = (squares - n * mean) / (n - 1)
    return GradientNoise(trace, mean - trace / n, n)


def ascent_sharpness(landscape: Landscape, at: Tensor, radius: float = 0.05) -> float:
    """Return how far the loss rises over one step of length ``radius`` up the gradient.

    Foret et al. 2021, arXiv 2010.01412. NaN where the gradient vanishes.
    """
    gradient = landscape.gradient(at)
    norm = gradient.norm()
    if norm == 0:
        return float("nan")
    return landscape.value(at + radius * gradient / norm) - landscape.value(at)
