"""Intrinsic dimension of points: how many numbers would describe them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.func import functional_call

from grokpredict.diagnosis.landscape import at_rest
from grokpredict.runs.curve import FloatArray


def mle_dimension(points: ArrayLike, k: int = 2) -> float:
    """Estimate the dimension by maximum likelihood from distances to the nearest neighbours.

    Levina & Bickel 2004, with the local estimates joined by their harmonic mean, which is the
    likelihood's own: MacKay & Ghahramani 2005.

    Parameters
    ----------
    points : array_like, shape (n, d)
        Duplicates are removed, since they are no neighbours.
    k : int
        Neighbours, at least 2.

    Returns
    -------
    float
        NaN if fewer than k + 1 different points are left.

    Examples
    --------
    >>> line = np.random.default_rng(0).uniform(size=(2000, 1)) * np.ones(5)
    >>> round(mle_dimension(line, k=20), 1)
    1.0
    """
    if k < 2:
        raise ValueError(f"the estimate needs 2 or more neighbours, got {k}")
    distances = _distances(points, k)
    if distances is None:
        return float("nan")
    inverse = np.log(distances[:, -1:] / distances[:, :-1]).mean()
    return float(1.0 / inverse)


def two_nn_dimension(points: ArrayLike) -> float:
    """Estimate the dimension from the ratio of the two nearest distances.

    Facco et al. 2017, 10.1038/s41598-017-11873-y: -log(1 - F(mu)) = d log mu, by least squares
    through the origin. The largest ratio, where F is 1, is dropped.

    Parameters
    ----------
    points : array_like, shape (n, d)
        Duplicates are removed.

    Returns
    -------
    float
        NaN if fewer than three different points are left.
    """
    distances = _distances(points, 2)
    if distances is None:
        return float("nan")
    logs = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    n = len(logs)
    x, y = logs[:-1], -np.log1p(-np.arange(1, n) / n)
    square = float(x @ x)
    return float(x @ y) / square if square > 0 else float("inf")


def _distances(points: ArrayLike, k: int) -> FloatArray | None:
    """Distances to the k nearest other points, (n, k), of the points without duplicates."""
    unique = np.unique(np.asarray(points, dtype=np.float64), axis=0)
    if unique.ndim != 2:
        raise ValueError(f"points must have shape (n, d), got {unique.shape}")
    if len(unique) < k + 1:
        return None
    # Away from zero: where denormal numbers are flushed (torch.set_flush_denormal), SciPy's tree
    # splits zeros, such as a ReLU's, for ever, and the process dies.
    unique += np.ptp(unique) + 1.0 - unique.min()
    distances = np.asarray(cKDTree(unique).query(unique, k + 1)[0], dtype=np.float64)
    return distances[:, 1:]


def layer_dimensions(
    module: nn.Module, inputs: Any, parameters: dict[str, Tensor] | None = None
) -> dict[str, tuple[float, float]]:
    """Estimate the intrinsic dimension of what every layer puts out.

    Parameters
    ----------
    module : nn.Module
        Put at rest meanwhile; its layers are the parts that have no parts.
    inputs : Tensor or tuple
        A batch; the first axis of what a layer puts out counts samples.
    parameters : dict of str to Tensor, optional
        In place of the module's own.

    Returns
    -------
    dict of str to (float, float)
        By layer, in the order of its first call: maximum likelihood with two neighbours, TwoNN.
    """
    outputs: dict[str, FloatArray] = {}

    def keep(name: str) -> Any:
        def hook(layer: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim > 1 and name not in outputs:
                outputs[name] = output.detach().flatten(1).double().cpu().numpy()

        return hook

    leaves = {name: m for name, m in module.named_modules() if name and not list(m.children())}
    hooks = [layer.register_forward_hook(keep(name)) for name, layer in leaves.items()]
    try:
        with torch.no_grad(), at_rest(module):
            arguments = inputs if isinstance(inputs, tuple) else (inputs,)
            functional_call(module, parameters or {}, arguments)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: (mle_dimension(points), two_nn_dimension(points)) for name, points in outputs.items()
    }
