"""Loss and accuracy along lines and planes through the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokpredict.diagnosis.landscape import Landscape
from grokpredict.runs.curve import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Slice:
    """Loss and accuracy on a grid; all but the axes have one shape, (n,) or (n, m).

    Attributes
    ----------
    name : str
        Of the direction or directions.
    axes : tuple of ndarray
        Coordinates: multiples of each direction, counted from the origin.
    train_loss, train_acc, val_loss, val_acc : ndarray
        NaN where the loss is not finite or accuracy means nothing.
    """

    name: str
    axes: tuple[FloatArray, ...]
    train_loss: FloatArray
    train_acc: FloatArray
    val_loss: FloatArray
    val_acc: FloatArray


def slice_along(
    train: Landscape,
    validation: Landscape,
    origin: Tensor,
    directions: Sequence[Tensor],
    axes: Sequence[FloatArray],
    name: str = "",
) -> Slice:
    """Evaluate both losses at origin + sum of axis x direction.

    Parameters
    ----------
    train, validation : Landscape
        The same network on two batches.
    origin : Tensor, shape (n_parameters,)
        Where all coordinates are zero.
    directions : sequence of Tensor
        One for a line, two for a plane.
    axes : sequence of ndarray
        Coordinates along each.
    name : str
        Shown to people.

    Raises
    ------
    ValueError
        If there are not one or two directions, each with its axis.
    """
    if len(directions) != len(axes) or len(directions) not in (1, 2):
        raise ValueError(
            f"a slice has one or two directions with an axis each, got {len(directions)} "
            f"and {len(axes)}"
        )
    shape = tuple(len(axis) for axis in axes)
    values = np.full((*shape, 4), np.nan)
    for index in np.ndindex(*shape):
        point = origin.clone()
        for axis, direction, i in zip(axes, directions, index, strict=True):
            point.add_(direction, alpha=float(axis[i]))
        values[index] = train.value_and_accuracy(point) + validation.value_and_accuracy(point)
    values[~np.isfinite(values)] = np.nan
    columns = np.moveaxis(values, -1, 0)
    return Slice(name, tuple(np.asarray(axis, dtype=float) for axis in axes), *columns)


def filter_normalised(landscape: Landscape, direction: Tensor, at: Tensor) -> Tensor:
    """Scale each filter of a direction to the norm of the same filter of the parameters.

    Li et al. 2018, arXiv 1712.09913: without this, a network whose weights are large looks flat.
    A filter is what feeds one unit: the first axis of a tensor counts them. A vector (biases,
    gains) is taken as one filter. Where a filter of either is zero, the direction is zero.

    Parameters
    ----------
    landscape : Landscape
        Knows the shapes.
    direction, at : Tensor, shape (n_parameters,)
        What to scale, and the parameters.
    """
    result = torch.empty_like(direction)
    into = landscape.parts(result)
    for name, weight in landscape.parts(at).items():
        rows = weight.reshape(len(weight), -1) if weight.ndim > 1 else weight.reshape(1, -1)
        moves = landscape.parts(direction)[name].reshape(rows.shape)
        norms = moves.norm(dim=1, keepdim=True)
        tiny = torch.finfo(direction.dtype).tiny
        scaled = torch.where(norms > tiny, moves / norms.clamp(min=tiny), 0.0)
        into[name].copy_((scaled * rows.norm(dim=1, keepdim=True)).view(weight.shape))
    return result


def random_direction(landscape: Landscape, at: Tensor, seed: int = 0) -> Tensor:
    """Draw a normal direction and normalise it by filter."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(at.numel(), generator=generator, dtype=torch.float64).to(at)
    return filter_normalised(landscape, drawn, at)


def local_minima(values: FloatArray) -> IntArray:
    """Return the places of a line that are lower than both neighbours; the ends are none."""
    inner = values[1:-1]
    return np.flatnonzero((inner < values[:-2]) & (inner < values[2:])) + 1


def minima_of_training_only(found: Slice) -> list[float]:
    """Return where a line has a minimum of the training loss and none of the validation loss.

    A validation minimum at the next point of the grid counts as the same.
    """
    validation = local_minima(found.val_loss)
    return [
        float(found.axes[0][i])
        for i in local_minima(found.train_loss)
        if not np.any(np.abs(validation - i) <= 1)
    ]


def barrier(axis: FloatArray, values: FloatArray) -> float:
    """Return how far a loss rises above the straight line between its ends, 0 if it never does.

    Frankle et al. 2020, arXiv 1912.05671; Entezari et al. 2022, arXiv 2110.06296.

    Parameters
    ----------
    axis, values : ndarray, shape (n,)
        Along the segment between two networks, both ends included. Points that are not finite are
        left out.

    Examples
    --------
    >>> barrier(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0]))
    1.5
    """
    told = np.isfinite(values)
    if not told[[0, -1]].all():
        return float("nan")
    line = np.interp(axis, axis[[0, -1]], values[[0, -1]])
    return float(np.max(values[told] - line[told], initial=0.0))
