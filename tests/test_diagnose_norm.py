"""Norm, intrinsic dimension and noise against closed forms and an independent library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn

from grokpredict.diagnosis.clock import NormClock, decay_rate
from grokpredict.diagnosis.dimension import layer_dimensions, mle_dimension, two_nn_dimension
from grokpredict.diagnosis.landscape import Landscape
from grokpredict.diagnosis.noise import ascent_sharpness, gradient_noise
from grokpredict.diagnosis.norm import fixed_norm, reduced_landscape
from grokpredict.runs.configuration import Configuration


def least_squares(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) * np.array([0.5, 1.0, 1.5, 2.0])
    y = x @ np.array([[1.0], [-2.0], [0.5], [1.0]]) + rng.normal(size=(n, 1))
    return torch.tensor(x), torch.tensor(y)


def on_the_sphere(x: np.ndarray, y: np.ndarray, norm: float) -> np.ndarray:
    """Minimum of |Xw - y|^2 / n with |w| = norm, by its secular equation.

    (A + mu I) w = b with A = X'X / n, b = X'y / n, and mu > -lambda_min(A) so that |w(mu)| = norm.
    """
    a, b = x.T @ x / len(x), (x.T @ y / len(x)).ravel()
    values, vectors = np.linalg.eigh(a)
    c = vectors.T @ b
    mu = brentq(
        lambda m: np.linalg.norm(c / (values + m)) - norm, -values[0] + 1e-9, 1e6, xtol=1e-14
    )
    return vectors @ (c / (values + mu))


def test_least_squares_on_a_sphere_against_the_secular_equation() -> None:
    train, validation = least_squares(12, 0), least_squares(50, 1)
    torch.manual_seed(0)
    module = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    before = module.weight.detach().clone()
    norms = [0.5, 1.0, 2.0, 4.0, 8.0]
    found = reduced_landscape(
        module, nn.MSELoss(), train, validation, norms[::-1], steps=1500, learning_rate=0.05
    )
    assert torch.equal(module.weight, before)
    assert found.norms.tolist() == norms
    for (x, y), losses in ((train, found.train_loss), (validation, found.val_loss)):
        for norm, loss in zip(norms, losses, strict=True):
            w = on_the_sphere(train[0].numpy(), train[1].numpy(), norm)
            expected = np.mean((x.numpy() @ w - y.numpy().ravel()) ** 2)
            assert loss == pytest.approx(expected, rel=1e-3)
    assert found.goldilocks == 2.0
    edge = reduced_landscape(module, nn.MSELoss(), train, validation, [8.0, 16.0], steps=5)
    assert edge.goldilocks is None  # the least lies beyond the grid


def test_a_fixed_norm_holds_and_can_be_let_go() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))

    def norm() -> float:
        return float(torch.cat([p.detach().flatten() for p in module.parameters()]).norm())

    own = norm()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=1.0)
    handle = fixed_norm(optimizer)
    for _ in range(5):
        module(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        assert norm() == pytest.approx(own, rel=1e-6)
    handle.remove()
    optimizer.step()
    assert abs(norm() - own) > 0.01
    with pytest.raises(ValueError, match="must be above 0"):
        fixed_norm(optimizer, -1.0)


def test_the_clock_of_weight_decay() -> None:
    clock = NormClock(1000, 4000, rate=1e-4, norm=60.0, goldilocks=10.0)
    assert clock.left == pytest.approx(0.3)
    assert clock.needed == pytest.approx(np.log(6.0))
    assert clock.enough is False
    assert NormClock(1000, 40_000, rate=1e-4, norm=60.0, goldilocks=10.0).enough is True
    assert NormClock(5000, 4000, rate=1e-4).left == 0.0
    assert NormClock(1000, 4000, rate=1e-4).needed is None


def test_the_rate_of_decay_is_that_of_the_optimiser() -> None:
    """SGD with momentum and a penalty shrinks a free weight by lr wd / (1 - beta) a step."""
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.001, momentum=0.9, weight_decay=0.1)
    for _ in range(2000):
        weight.grad = torch.zeros(1)
        optimizer.step()
    rate = decay_rate(Configuration("sgd", 0.001, 0.1, momentum=0.9))
    assert float(weight.detach()) == pytest.approx(np.exp(-rate * 2000), rel=0.02)
    assert decay_rate(Configuration("adamw", 0.01, 0.1, momentum=0.9)) == pytest.approx(1e-3)
    assert decay_rate(Configuration("adam", 0.01, 0.1)) is None
    assert decay_rate(Configuration("adam", 0.01, 0.0)) == 0.0
    assert decay_rate(Configuration("adamw", None, 0.1)) is None


def cloud(kind: str, n: int = 1500) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "plane":
        return rng.uniform(size=(n, 2)) @ rng.normal(size=(2, 8))
    if kind == "sphere":
        points = rng.normal(size=(n, 4))
        return points / np.linalg.norm(points, axis=1, keepdims=True)
    return rng.normal(size=(n, 5))


@pytest.mark.parametrize(("kind", "dimension"), [("plane", 2), ("sphere", 3), ("gauss", 5)])
def test_dimension_of_known_clouds(kind: str, dimension: int) -> None:
    points = cloud(kind)
    assert mle_dimension(points) == pytest.approx(dimension, rel=0.08)
    assert two_nn_dimension(points) == pytest.approx(dimension, rel=0.12)
    # Neither scale nor a rotation nor copies of points matter.
    turned = np.concatenate([7 * points[:, ::-1], 7 * points[:50, ::-1]])
    assert mle_dimension(turned) == pytest.approx(mle_dimension(points))
    assert two_nn_dimension(turned) == pytest.approx(two_nn_dimension(points))


@pytest.mark.parametrize("kind", ["plane", "sphere", "gauss"])
def test_dimension_against_scikit_dimension(kind: str) -> None:
    skdim = pytest.importorskip("skdim.id")
    points = cloud(kind)
    n = len(points)
    for k in (2, 10):
        theirs = skdim.MLE(K=k).fit(points, n_neighbors=k, comb="mle").dimension_
        assert mle_dimension(points, k) == pytest.approx(theirs, rel=1e-6)
    # It counts F from 0; ours from 1, with the last point dropped.
    theirs = skdim.TwoNN(discard_fraction=0.5 / n).fit(points).dimension_
    assert two_nn_dimension(points) == pytest.approx(theirs, rel=0.02)


def test_too_few_points_have_no_dimension() -> None:
    assert np.isnan(mle_dimension(np.ones((50, 3))))
    assert np.isnan(two_nn_dimension(np.eye(2)))


def test_zeros_of_a_relu_with_denormals_flushed() -> None:
    """SciPy's tree ends the process where nextafter(0, 1) is taken for 0."""
    code = (
        "import numpy as np, torch; torch.set_flush_denormal(True);"
        "from grokpredict.diagnosis.dimension import two_nn_dimension as estimate;"
        "points = np.maximum(np.random.default_rng(0).normal(-1, 1, (192, 128)), 0);"
        "print(estimate(points))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    points = np.maximum(np.random.default_rng(0).normal(-1, 1, (192, 128)), 0)
    assert float(done.stdout) == pytest.approx(two_nn_dimension(points))


def test_dimension_by_layer() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 30), nn.Tanh(), nn.Dropout(0.5), nn.Linear(30, 1))
    found = layer_dimensions(module, torch.rand(800, 2))
    assert list(found) == ["0", "1", "2", "3"]
    assert found["1"][0] == pytest.approx(2, rel=0.15)  # a sheet in 30 dimensions
    assert found["2"] == found["1"]  # dropout is off
    assert found["3"][0] == pytest.approx(1, rel=0.15)
    assert module.training
    assert not any(layer._forward_hooks for layer in module)


def test_gradient_noise_of_a_linear_map() -> None:
    """The gradient of sample i is 2 (x_i w - y_i) x_i."""
    x, y = least_squares(30, 2)
    module = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    landscape = Landscape(module, nn.MSELoss(), (x, y))
    theta = landscape.position()
    gradients = 2 * ((x @ theta)[:, None] - y) * x
    trace = float(gradients.var(dim=0, unbiased=True).sum())
    square = float(gradients.mean(dim=0).square().sum())
    found = gradient_noise(landscape, theta)
    assert found.trace == pytest.approx(trace)
    assert found.squared_norm == pytest.approx(square - trace / 30)
    assert found.critical_batch == pytest.approx(trace / (square - trace / 30))
    assert gradient_noise(landscape, theta, most=7).n_samples == 7
    g, product = landscape.hessian_product(theta)
    step = 0.1 * g / g.norm()
    expected = float(g @ step + 0.5 * step @ product(step))
    assert ascent_sharpness(landscape, theta, radius=0.1) == pytest.approx(expected)
    with pytest.raises(ValueError, match="2 or more samples, got 1"):
        gradient_noise(landscape, theta, most=1)
