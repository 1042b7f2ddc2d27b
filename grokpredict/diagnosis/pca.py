"""Principal components of a trajectory, beside those of a random walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokpredict.runs.curve import FloatArray


@dataclass(frozen=True, eq=False)
class TrajectoryModes:
    """Leading modes of the snapshots of a run, n_snapshots of them.

    Attributes
    ----------
    shares : ndarray, shape (n_snapshots - 1,)
        Share of the variance in each mode, largest first.
    null : ndarray, shape (n_snapshots - 1,)
        The same for a random walk in high dimension.
    coordinates : ndarray, shape (n_snapshots, 2)
        Places along the first two modes, from the mean.
    residual : ndarray, shape (n_snapshots,)
        Norm of what lies outside the plane of these two, as a share of the distance from the mean.
    mean : Tensor, shape (n_parameters,)
        Mean of the snapshots.
    directions : Tensor, shape (2, n_parameters)
        The first two modes, of unit length.
    """

    shares: FloatArray
    null: FloatArray
    coordinates: FloatArray
    residual: FloatArray
    mean: Tensor
    directions: Tensor


def trajectory_modes(positions: Sequence[Tensor]) -> TrajectoryModes:
    """Find the leading modes of a trajectory.

    Parameters
    ----------
    positions : sequence of Tensor, each (n_parameters,)
        Snapshots; the null is that of steps of equal length between them.

    Raises
    ------
    ValueError
        If there are fewer than three, or they are all the same.
    """
    if len(positions) < 3:
        raise ValueError(f"modes need at least 3 snapshots, got {len(positions)}")
    points = torch.stack([p.double() for p in positions])
    mean = points.mean(dim=0)
    centred = points - mean
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    values, vectors = values.flip(0)[:-1].clamp(min=0), vectors.flip(1)[:, :-1]
    total = float(values.sum())
    if total == 0:
        raise ValueError("the snapshots are all the same, they have no modes")
    lengths = values[:2].sqrt()
    coordinates = vectors[:, :2] * lengths
    # On a straight line the second mode is rounding: it has no direction.
    directions = torch.zeros(2, points.shape[1], dtype=torch.float64)
    for k in range(2):
        if lengths[k] > 1e-7 * lengths[0]:
            directions[k] = vectors[:, k] @ centred / lengths[k]
    outside = (centred - coordinates @ directions).norm(dim=1)
    distance = centred.norm(dim=1)
    residual = torch.where(distance > 0, outside / distance, 0.0)
    return TrajectoryModes(
        (values / total).numpy(),
        random_walk_shares(len(positions)),
        coordinates.numpy(),
        residual.numpy(),
        mean.to(positions[0].dtype),
        directions.to(positions[0].dtype),
    )


def random_walk_shares(n: int) -> FloatArray:
    """Return the shares of the modes of a random walk of ``n`` points in high dimension.

    The matrix of inner products of its centred points is the pseudo-inverse of the Laplacian of a
    path, whose eigenvalues are 4 sin^2(pi k / 2n). For large n the shares are 6 / (pi^2 k^2), 61 %
    and 15 %: 76 % in two modes means nothing. Antognini & Sohl-Dickstein 2018, arXiv 1806.08805.

    Examples
    --------
    >>> random_walk_shares(1000)[:2].round(3).tolist()
    [0.608, 0.152]
    """
    modes = 1.0 / np.sin(np.pi * np.arange(1, n) / (2 * n)) ** 2
    return np.asarray(modes / modes.sum())
