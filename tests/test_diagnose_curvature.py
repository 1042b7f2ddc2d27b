"""Curvature against closed forms, a dense Hessian and an independent Lanczos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.func import functional_call

from grokpredict.diagnosis.curvature import curvature
from grokpredict.diagnosis.lanczos import spectrum_ends
from grokpredict.diagnosis.landscape import Landscape
from grokpredict.diagnosis.snapshots import Snapshot, take_snapshot


def least_squares() -> tuple[Landscape, np.ndarray]:
    """Mean squared error of a linear map on 40 samples: H = 2 X'X / n."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)) * np.array([0.1, 0.5, 1.0, 2.0, 3.0, 5.0])
    y = rng.normal(size=(40, 1))
    module = nn.Linear(6, 1, bias=False, dtype=torch.float64)
    return Landscape(module, nn.MSELoss(), (torch.tensor(x), torch.tensor(y))), 2 * x.T @ x / 40


def small_network() -> tuple[nn.Module, Landscape]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Dropout(0.5), nn.Linear(9, 3)).double()
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randint(3, (30,))
    return module, Landscape(module, nn.CrossEntropyLoss(), (x, y))


def dense_hessian(landscape: Landscape) -> torch.Tensor:
    """By another road than ours: row by row, through the gradient of a plain function."""
    module, (x, y) = landscape.module, landscape.batch
    module.eval()

    def loss(flat: torch.Tensor) -> torch.Tensor:
        return landscape.loss(functional_call(module, landscape.parts(flat), (x,)), y)

    return torch.autograd.functional.hessian(loss, landscape.position())


def test_linear_least_squares() -> None:
    landscape, hessian = least_squares()
    snapshot = take_snapshot(landscape.module)
    found = curvature(landscape, snapshot, tolerance=1e-10)
    values = np.linalg.eigvalsh(hessian)
    assert found.largest.value == pytest.approx(values[-1], rel=1e-12)
    assert found.smallest.value == pytest.approx(values[0], rel=1e-9)
    assert found.ratio == pytest.approx(values[0] / values[-1], rel=1e-9)
    g = landscape.gradient(snapshot.parameters).numpy()
    assert found.rayleigh == pytest.approx(g @ hessian @ g / (g @ g), rel=1e-12)
    assert found.grad_norm == pytest.approx(np.linalg.norm(g))


def test_a_quadratic_changes_as_its_second_order_predicts() -> None:
    landscape, hessian = least_squares()
    theta = landscape.position()
    g = landscape.gradient(theta)
    snapshot = Snapshot(3, theta, update=-0.01 * g, learning_rate=0.01, momentum=0.0)
    found = curvature(landscape, snapshot)
    assert found.change is not None
    assert found.change.first_order == pytest.approx(-0.01 * float(g @ g))
    expected = -0.01 * float(g @ g) + 0.5 * 1e-4 * float(g.numpy() @ hessian @ g.numpy())
    assert found.change.second_order == pytest.approx(expected)
    assert found.change.actual == pytest.approx(expected)
    assert found.sharpness == pytest.approx(0.01 * np.linalg.eigvalsh(hessian)[-1], rel=1e-4)
    assert found.stable_below == 2.0


def test_gradient_descent_diverges_where_it_is_said_to() -> None:
    """Plain, with momentum and Adam with its second moment held: either side of the limit."""
    landscape, hessian = least_squares()
    top = np.linalg.eigvalsh(hessian)[-1]
    snapshot = Snapshot(0, landscape.position())
    for momentum, preconditioned in ((0.0, False), (0.9, False), (0.9, True)):
        scale = torch.ones(6, dtype=torch.float64) if preconditioned else None
        given = Snapshot(
            0, snapshot.parameters, preconditioner=scale, learning_rate=1.0, momentum=momentum
        )
        limit = curvature(landscape, given).stable_below
        for share, grows in ((0.98, False), (1.02, True)):
            eta, x, velocity = share * limit / top, np.ones(6), np.zeros(6)
            for _ in range(3000):
                g = hessian @ x
                velocity = momentum * velocity + ((1 - momentum) if preconditioned else 1.0) * g
                x = x - eta * velocity
                if np.abs(x).max() > 1e9:
                    break
            assert (np.abs(x).max() > 1e3) == grows, (momentum, preconditioned, share)


def test_dense_hessian_of_a_small_network() -> None:
    module, landscape = small_network()
    hessian = dense_hessian(landscape)
    values = torch.linalg.eigvalsh(hessian)
    found = curvature(landscape, take_snapshot(module), tolerance=1e-9)
    assert found.largest.value == pytest.approx(float(values[-1]), rel=1e-9)
    assert found.smallest.value == pytest.approx(float(values[0]), rel=1e-9)
    gradient, product = landscape.hessian_product(landscape.position())
    v = torch.randn(len(gradient), dtype=torch.float64)
    torch.testing.assert_close(product(v), hessian @ v)


def test_the_residual_bounds_the_error_before_it_has_converged() -> None:
    _, landscape = small_network()
    values = torch.linalg.eigvalsh(dense_hessian(landscape)).numpy()
    _, product = landscape.hessian_product(landscape.position())
    errors = []
    for most in (3, 6, 10, 20):
        ends = spectrum_ends(product, landscape.position(), tolerance=0, most_products=most)
        assert ends.products == most
        for end, true in ((ends.largest, values[-1]), (ends.smallest, values[0])):
            assert np.abs(values - end.value).min() <= end.residual * (1 + 1e-9)
            errors.append(abs(end.value - true))
        assert ends.largest.value <= values[-1] + 1e-12
        assert ends.smallest.value >= values[0] - 1e-12
    assert errors[0] > 1e-3  # it had not converged at first: the bound was not trivial


def test_another_lanczos_finds_the_same() -> None:
    _, landscape = small_network()
    _, product = landscape.hessian_product(landscape.position())
    n = landscape.position().numel()
    operator = LinearOperator((n, n), matvec=lambda v: product(torch.tensor(v.ravel())).numpy())
    largest = eigsh(operator, 1, which="LA", return_eigenvectors=False)[0]
    smallest = eigsh(operator, 1, which="SA", return_eigenvectors=False)[0]
    ends = spectrum_ends(product, landscape.position(), tolerance=1e-8)
    assert ends.largest.value == pytest.approx(largest, rel=1e-8)
    assert ends.smallest.value == pytest.approx(smallest, rel=1e-8)
    image = product(ends.vector)
    torch.testing.assert_close(image, ends.largest.value * ends.vector, atol=1e-7, rtol=1e-5)


def test_adams_preconditioner_from_its_state() -> None:
    module, landscape = small_network()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, betas=(0.9, 0.99), eps=1e-6)
    for _ in range(5):
        optimizer.zero_grad()
        landscape.loss(module(landscape.batch[0]), landscape.batch[1]).backward()
        optimizer.step()
    snapshot = take_snapshot(module, optimizer, 5)
    second = torch.cat([optimizer.state[p]["exp_avg_sq"].flatten() for p in module.parameters()])
    scale = (second / (1 - 0.99**5)).sqrt() + 1e-6
    hessian = dense_hessian(landscape)
    top = torch.linalg.eigvalsh(hessian / torch.outer(scale, scale).sqrt())[-1]
    found = curvature(landscape, snapshot, tolerance=1e-8)
    assert found.preconditioned is not None
    assert found.preconditioned.value == pytest.approx(float(top), rel=1e-8)
    assert found.sharpness == pytest.approx(0.01 * float(top), rel=1e-8)
    assert found.stable_below == pytest.approx(38.0)


class Attends(nn.Module):
    """Scaled-dot-product attention, whose fused kernels have no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed).mean(dim=1)


@pytest.mark.parametrize("layer", ["sdpa", "encoder", "gru", "batchnorm"])
def test_layers_that_need_care_can_be_differentiated_twice(layer: str) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(8, 5, 4), torch.randint(3, (8,))
    module: nn.Module = Attends()
    if layer == "encoder":
        encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        module = nn.Sequential(encoder, nn.Flatten(), nn.Linear(20, 3))
    elif layer == "gru":

        class Last(nn.Module):
            def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
                return pair[0][:, -1]

        module = nn.Sequential(nn.GRU(4, 3, batch_first=True), Last())
    elif layer == "batchnorm":
        module = nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    landscape = Landscape(module, nn.CrossEntropyLoss(), (x, y))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    theta = landscape.position()
    _, product = landscape.hessian_product(theta)
    v = torch.randn(theta.numel())
    shift = 1e-2 * v / v.norm()
    difference = landscape.gradient(theta + shift) - landscape.gradient(theta - shift)
    expected = difference / 2e-2 * v.norm()
    assert torch.linalg.norm(product(v) - expected) < 0.05 * torch.linalg.norm(expected)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(part.training for part in module.modules())
    assert all(p.grad is None for p in module.parameters())


def test_bad_input_is_one_sentence() -> None:
    module, landscape = small_network()
    with pytest.raises(ValueError, match="75 trainable parameters, the vector has shape"):
        landscape.value(torch.zeros(3))
    with pytest.raises(ValueError, match="must be a pair"):
        Landscape(module, nn.MSELoss(), torch.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no trainable parameter"):
        Landscape(nn.ReLU(), nn.MSELoss(), (None, None))
    broken = Snapshot(7, torch.full((75,), torch.nan, dtype=torch.float64))
    with pytest.raises(ValueError, match="the loss is nan at step 7"):
        curvature(landscape, broken)
