"""What curvature, slices and the probe cost on the network of Notsawo et al. 2023.

    python benchmarks/bench_curvature.py [--oracle]

Two layers of a transformer, width 128, four heads, p = 97: 4.2e5 parameters, 512 samples, one
thread.
``--oracle`` compares the eigenvalues with curvlinops (pip install curvlinops-for-pytorch==3.0.1).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from scipy.sparse.linalg import eigsh
from torch import nn

from grokpredict.diagnosis.curvature import curvature
from grokpredict.diagnosis.lanczos import spectrum_ends
from grokpredict.diagnosis.landscape import Landscape
from grokpredict.diagnosis.probe import TrajectoryProbe
from grokpredict.diagnosis.snapshots import take_snapshot

P, WIDTH, SAMPLES = 97, 128, 512


class PaperTransformer(nn.Module):
    """Decoder over ``a + b =`` that answers at the last token (Power et al. 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(P + 2, WIDTH)
        self.positions = nn.Parameter(torch.randn(4, WIDTH) / WIDTH**0.5)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.answer = nn.Linear(WIDTH, P)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(4))

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        plus, equals = torch.full((2, len(pairs), 1), P).unbind()
        tokens = torch.cat([pairs[:, :1], plus, pairs[:, 1:], equals + 1], dim=1)
        x = self.layers(self.tokens(tokens) + self.positions, mask=self.mask)
        return self.answer(x[:, -1])


def timed(what: str, call: Callable[[], object]) -> object:
    start = time.perf_counter()
    result = call()
    print(f"{what}: {time.perf_counter() - start:.2f} s", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--steps", type=int, default=300)
    told = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = PaperTransformer()
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    pairs = pairs[torch.randperm(len(pairs))][:SAMPLES]
    batch = pairs, pairs.sum(dim=1) % P
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    print(f"{sum(p.numel() for p in module.parameters())} parameters, {SAMPLES} samples")
    probe = TrajectoryProbe(every=1).watch(module, optimizer)
    spent = {"step": 0.0, "record": 0.0}
    for step in range(told.steps + 1):
        if step in (0, told.steps):
            measure(module, loss, batch, optimizer, step, told.oracle)
        start = time.perf_counter()
        optimizer.zero_grad()
        value = loss(module(batch[0]), batch[1])
        value.backward()
        middle = time.perf_counter()
        probe.before_step(value)
        recorded = time.perf_counter()
        optimizer.step()
        stepped = time.perf_counter()
        probe.after_step()
        end = time.perf_counter()
        spent["step"] += middle - start + stepped - recorded
        spent["record"] += recorded - middle + end - stepped
    n = told.steps + 1
    print(f"a step {1e3 * spent['step'] / n:.2f} ms, a record {1e3 * spent['record'] / n:.2f} ms")


def measure(module, loss, batch, optimizer, step, oracle) -> None:
    landscape = Landscape(module, loss, batch)
    theta = landscape.position()
    print(f"\nafter {step} steps, loss {landscape.value(theta):.3g}")
    _, product = timed("graph of the gradient", lambda: landscape.hessian_product(theta))
    for both in (False, True):
        what = "lambda_max and lambda_min" if both else "lambda_max"
        ends = timed(
            what, lambda both=both: spectrum_ends(product, theta, tolerance=1e-2, both=both)
        )
        print(f"  {ends.products} products: {ends.largest}, {ends.smallest}")
    found = timed(
        "curvature()", lambda: curvature(landscape, take_snapshot(module, optimizer, step))
    )
    print(
        f"  Adam's preconditioned {found.preconditioned}, sharpness {found.sharpness:.3g} "
        f"(stable below {found.stable_below:.3g})"
    )
    if oracle:
        from curvlinops import HessianLinearOperator
        from torch.nn.attention import SDPBackend, sdpa_kernel

        module.eval()
        with sdpa_kernel(SDPBackend.MATH):
            parameters = list(module.parameters())
            theirs = HessianLinearOperator(module, loss, parameters, [batch]).to_scipy()
            for which in ("LA", "SA"):
                value = timed(
                    f"curvlinops, eigsh {which}",
                    lambda which=which: eigsh(
                        theirs, 1, which=which, tol=1e-2, return_eigenvectors=False
                    ),
                )
                print(f"  {value}")
        module.train()


if __name__ == "__main__":
    main()
