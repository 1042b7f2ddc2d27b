"""
Paper: optimisers in a ravine
=============================

Six optimisers in two toy landscapes: Rosenbrock's ravine and Rastrigin's many minima.

::

    python examples/ravines.py [--folder .] [--quick]

The picture behind Notsawo et al. 2023 (arXiv 2306.13253): a perturbed, ill-conditioned valley in
which an optimiser bounces from wall to wall and moves slowly along the floor. Printed: the
condition of the Hessian at the minimum, and where each optimiser ends.
"""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from small_runs import parser
from torch import Tensor

TWO_PI = 2 * torch.pi
OPTIMISERS: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "SGD": lambda x, rate: torch.optim.SGD(x, lr=rate),
    "momentum": lambda x, rate: torch.optim.SGD(x, lr=rate, momentum=0.9),
    "Nesterov": lambda x, rate: torch.optim.SGD(x, lr=rate, momentum=0.9, nesterov=True),
    "Adagrad": lambda x, rate: torch.optim.Adagrad(x, lr=500 * rate),
    "RMSprop": lambda x, rate: torch.optim.RMSprop(x, lr=10 * rate),
    "Adam": lambda x, rate: torch.optim.Adam(x, lr=50 * rate),
}
LANDSCAPES = {
    "Rosenbrock": (
        lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2,
        (-1.5, 1.5), (1.0, 1.0), 1e-3, ((-2.0, 2.0), (-1.0, 3.0)),
    ),
    "Rastrigin": (
        lambda x: 20 + (x**2 - 10 * torch.cos(TWO_PI * x)).sum(dim=0),
        (3.3, -2.6), (0.0, 0.0), 2e-3, ((-4.5, 4.5), (-4.5, 4.5)),
    ),
}  # fmt: skip


def descend(
    function: Callable[[Tensor], Tensor],
    start: tuple[float, float],
    kind: str,
    rate: float,
    steps: int,
) -> np.ndarray:
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimiser = OPTIMISERS[kind]([x], rate)
    path = [x.detach().numpy().copy()]
    for _ in range(steps):
        optimiser.zero_grad()
        function(x).backward()
        optimiser.step()
        path.append(x.detach().numpy().copy())
    return np.array(path)


def main() -> None:
    options = parser().parse_args()
    steps = 50 if options.quick else 3000
    figure = Figure(figsize=(10, 4.6), layout="constrained", dpi=150)
    axes = figure.subplots(1, 2)
    for axis, (name, (function, start, minimum, rate, box)) in zip(
        axes, LANDSCAPES.items(), strict=True
    ):
        at = torch.tensor(minimum, dtype=torch.float64)
        values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(function, at))
        print(f"{name}: lambda_max / lambda_min at the minimum {float(values[1] / values[0]):.0f}")
        grid = torch.tensor(
            np.array(np.meshgrid(*(np.linspace(*side, 200) for side in box), indexing="ij"))
        )
        loss = function(grid).numpy()
        axis.contourf(
            grid[0], grid[1], loss + 1e-2, levels=np.geomspace(1e-2, loss.max(), 24),
            norm=LogNorm(1e-2, loss.max()), cmap="Greys",
        )  # fmt: skip
        for kind in OPTIMISERS:
            path = descend(function, start, kind, rate, steps)
            turns = np.diff(path, axis=0)
            length = np.linalg.norm(turns, axis=1)
            with np.errstate(invalid="ignore"):
                cosine = (turns[1:] * turns[:-1]).sum(axis=1) / (length[1:] * length[:-1])
            bounced = np.mean(cosine[np.isfinite(cosine)] < 0)
            end = float(function(torch.tensor(path[-1])))
            print(
                f"  {kind}: loss {end:.3g} at ({path[-1][0]:.3f}, {path[-1][1]:.3f}) after {steps} "
                f"steps; {bounced:.0%} of the steps turn back"
            )
            axis.plot(*path.T, lw=1.0, label=kind)
        axis.plot(*minimum, "*", color="red", ms=10)
        axis.set(title=name, xlim=box[0], ylim=box[1], xlabel="x", ylabel="y")
        axis.legend(fontsize=7, loc="lower left")
    figure.savefig(options.folder / "ravines.png")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = 'docs/figures/ravines.png'
