"""Slices and modes against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from grokpredict.diagnosis.landscape import Landscape
from grokpredict.diagnosis.pca import random_walk_shares, trajectory_modes
from grokpredict.diagnosis.slices import (
    Slice,
    barrier,
    filter_normalised,
    local_minima,
    minima_of_training_only,
    random_direction,
    slice_along,
)


def linear() -> tuple[Landscape, Landscape]:
    torch.manual_seed(0)
    module = nn.Linear(5, 2, bias=False, dtype=torch.float64)
    batches = [
        (torch.randn(n, 5, dtype=torch.float64), torch.randn(n, 2, dtype=torch.float64))
        for n in (20, 30)
    ]
    return Landscape(module, nn.MSELoss(), batches[0]), Landscape(module, nn.MSELoss(), batches[1])


def test_a_quadratic_gives_its_parabola_in_one_and_two_dimensions() -> None:
    train, validation = linear()
    origin = train.position()
    one, two = torch.randn(2, 10, dtype=torch.float64)
    axis, other = np.linspace(-2, 1, 7), np.linspace(0, 1, 4)
    plane = slice_along(train, validation, origin, [one, two], [axis, other])
    line = slice_along(train, validation, origin, [one], [axis])
    for landscape, on_plane, on_line in (
        (train, plane.train_loss, line.train_loss),
        (validation, plane.val_loss, line.val_loss),
    ):
        gradient, product = landscape.hessian_product(origin)
        for i, a in enumerate(axis):
            for j, b in enumerate(other):
                d = a * one + b * two
                parabola = landscape.value(origin) + gradient @ d + 0.5 * d @ product(d)
                assert on_plane[i, j] == pytest.approx(float(parabola))
            d = a * one
            parabola = landscape.value(origin) + gradient @ d + 0.5 * d @ product(d)
            assert on_line[i] == pytest.approx(float(parabola))
    assert np.isnan(line.train_acc).all()  # a regression has no accuracy


def relu_network(c: float) -> Landscape:
    """The same function for every c: the first layer times c, the second over c."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        module[0].weight *= c
        module[0].bias *= c
        module[2].weight /= c
    x, y = torch.randn(25, 4, dtype=torch.float64), torch.randint(3, (25,))
    return Landscape(module, nn.CrossEntropyLoss(), (x, y))


def test_filter_normalised_slices_do_not_see_the_scale_of_layers() -> None:
    axis = np.linspace(-1, 1, 5)
    losses, raw = [], []
    for c in (1.0, 10.0):
        landscape = relu_network(c)
        theta = landscape.position()
        drawn = torch.randn(theta.numel(), generator=torch.Generator().manual_seed(0)).double()
        scaled = filter_normalised(landscape, drawn, theta)
        losses.append(slice_along(landscape, landscape, theta, [scaled], [axis]).train_loss)
        raw.append(slice_along(landscape, landscape, theta, [drawn], [axis]).train_loss)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    assert np.abs(raw[0] - raw[1]).max() > 0.1  # without it they do


def test_filters_take_the_norms_of_the_parameters_and_zeros_stay() -> None:
    landscape = relu_network(1.0)
    theta = landscape.position()
    parts = landscape.parts(theta)
    with torch.no_grad():
        parts["0.weight"][3] = 0.0  # a dead filter
    found = landscape.parts(random_direction(landscape, theta, seed=4))
    rows = found["0.weight"].norm(dim=1)
    torch.testing.assert_close(rows, parts["0.weight"].norm(dim=1))
    torch.testing.assert_close(found["0.bias"].norm(), parts["0.bias"].norm())
    assert rows[3] == 0
    still = filter_normalised(landscape, torch.zeros_like(theta), theta)
    assert not still.any()


def line(train: np.ndarray, validation: np.ndarray) -> Slice:
    axis = np.arange(len(train), dtype=float)
    return Slice("", (axis,), train, train, validation, validation)


def test_minima_of_training_that_are_none_of_validation() -> None:
    train = np.array([3.0, 1.0, 2.0, 3.0, 2.0, 0.5, 1.0, 2.0])
    validation = np.array([5.0, 4.0, 3.0, 2.9, 2.0, 1.5, 0.9, 2.0])
    assert local_minima(train).tolist() == [1, 5]
    assert minima_of_training_only(line(train, validation)) == [1.0]
    assert minima_of_training_only(line(train, train)) == []


def test_barriers() -> None:
    axis = np.linspace(0, 1, 21)
    assert barrier(axis, axis**2) == 0.0  # convex: under the line
    assert barrier(axis, 1 + np.sin(np.pi * axis)) == pytest.approx(1.0)
    assert barrier(axis, 2 * axis + np.where(axis == 0.5, 3.0, 0.0)) == pytest.approx(3.0)
    assert barrier(axis, np.where(axis == 0.25, np.nan, 1.0)) == 0.0
    assert np.isnan(barrier(axis, np.where(axis == 0, np.nan, 1.0)))


def test_modes_of_a_random_walk_are_those_of_the_null() -> None:
    rng = np.random.default_rng(0)
    walk = torch.tensor(np.cumsum(rng.normal(size=(30, 20_000)), axis=0))
    found = trajectory_modes(list(walk))
    np.testing.assert_allclose(found.shares[:6], found.null[:6], rtol=0.03)
    k = np.arange(1, 5)
    np.testing.assert_allclose(random_walk_shares(5000)[:4], 6 / (np.pi * k) ** 2, rtol=1e-3)


def test_modes_against_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(12, 40)) * np.linspace(5, 0.1, 40)
    found = trajectory_modes(list(torch.tensor(points)))
    centred = points - points.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(found.shares, (s**2 / (s**2).sum())[:-1], rtol=1e-9)
    np.testing.assert_allclose(np.abs(found.coordinates), np.abs(u[:, :2] * s[:2]), rtol=1e-7)
    np.testing.assert_allclose(np.abs(found.directions.numpy()), np.abs(vt[:2]), atol=1e-9)
    rest = centred - centred @ vt[:2].T @ vt[:2]
    expected = np.linalg.norm(rest, axis=1) / np.linalg.norm(centred, axis=1)
    np.testing.assert_allclose(found.residual, expected, rtol=1e-9)


def test_a_straight_line_is_one_mode_and_a_circle_two() -> None:
    direction = torch.randn(50, dtype=torch.float64)
    straight = trajectory_modes([t * direction for t in range(6)])
    assert straight.shares[0] == pytest.approx(1.0)
    assert straight.residual.max() < 1e-6
    other = torch.randn(50, dtype=torch.float64)
    other -= (other @ direction) / (direction @ direction) * direction
    other *= direction.norm() / other.norm()
    turns = [np.cos(a) * direction + np.sin(a) * other for a in np.arange(8) * np.pi / 4]
    circle = trajectory_modes(turns)
    np.testing.assert_allclose(circle.shares[:2], [0.5, 0.5])
    with pytest.raises(ValueError, match="all the same"):
        trajectory_modes([direction] * 4)
    with pytest.raises(ValueError, match="at least 3 snapshots, got 2"):
        trajectory_modes([direction] * 2)
