"""
Paper: Musat 2025
=================

Musat 2025 (arXiv 2511.01938): does a network that has memorised minimise its norm?

::

    python examples/musat.py [--folder .] [--quick]

The claim: after memorisation, gradient descent with weight decay minimises the norm on the manifold
of zero training loss. There the update should point along - theta, projected on the null space of
the Jacobian J of all outputs on the training set. The network is small enough for J itself
(a + b mod 7, squared error). Printed and drawn: the cosine of the actual update with that
direction, with - theta itself, and with minus the gradient of the loss, for gradient descent and
for AdamW.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from small_runs import Square, addition, network, parser
from torch import Tensor, nn

from grokpredict.diagnosis.landscape import Landscape

P, SHARE, WIDTH = 7, 0.6, 40


@dataclass
class Record:
    step: int
    loss: float
    norm: float
    val_acc: float
    projected: float
    plain: float
    of_loss: float


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def on_null_space(landscape: Landscape, theta: Tensor, vector: Tensor) -> Tensor:
    """Take away what would change an output on the training set."""
    jacobian = torch.autograd.functional.jacobian(
        lambda flat: landscape.outputs(flat).flatten(), theta
    )
    _, s, v = torch.linalg.svd(jacobian, full_matrices=False)
    rows = v[s > 1e-6 * s[0]]
    return vector - rows.T @ (rows @ vector)


def follow(optimiser: str, steps: int) -> list[Record]:
    (x, y), (held, answers) = addition(P, SHARE)
    module = network([2 * P, WIDTH, P], Square).double()
    loss = nn.MSELoss()
    train = Landscape(module, loss, (x.double(), nn.functional.one_hot(y, P).double()))
    validation = Landscape(module, loss, (held.double(), answers))
    rate, decay = (0.5, 1e-4) if optimiser == "gradient descent" else (1e-3, 5e-2)
    kind = torch.optim.SGD if optimiser == "gradient descent" else torch.optim.AdamW
    chosen = kind(module.parameters(), lr=rate, weight_decay=decay)
    at = set(np.unique(np.geomspace(1, steps - 1, 40).astype(int)).tolist())
    records = []
    for step in range(steps):
        before = train.position() if step in at else None
        chosen.zero_grad()
        loss(module(train.batch[0]), train.batch[1]).backward()
        chosen.step()
        if before is None:
            continue
        update = train.position() - before
        right = validation.outputs(before).argmax(dim=1) == answers
        records.append(
            Record(
                step,
                train.value(before),
                float(before.norm()),
                float(right.double().mean()),
                cosine(update, on_null_space(train, before, -before)),
                cosine(update, -before),
                cosine(update, -train.gradient(before)),
            )
        )
    return records


def draw(found: dict[str, list[Record]]) -> Figure:
    figure = Figure(figsize=(9, 3.4), layout="constrained", dpi=150)
    for axis, (name, records) in zip(figure.subplots(1, 2), found.items(), strict=True):
        steps = [r.step for r in records]
        for field, label, colour in (
            ("projected", "- theta on the null space of J", "#1f5a96"),
            ("plain", "- theta", "#8a8a8a"),
            ("of_loss", "- gradient of the loss", "#b3541e"),
        ):
            values = [getattr(r, field) for r in records]
            axis.semilogx(steps, values, "o-", ms=2.5, color=colour, label=label)
        other = axis.twinx()
        other.loglog(steps, [r.loss for r in records], color="#2b7a4b", lw=0.8, ls="--")
        other.set_ylabel("training loss (dashed)", fontsize=8)
        axis.set(title=name, xlabel="step", ylabel="cosine of the update with", ylim=(-0.25, 1.05))
    figure.axes[0].legend(frameon=False, fontsize=7)
    return figure


def main() -> None:
    options = parser().parse_args()
    steps = 60 if options.quick else 30_000
    found = {name: follow(name, steps) for name in ("gradient descent", "AdamW")}
    for name, records in found.items():
        print(name)
        for r in records[:: max(len(records) // 10, 1)]:
            print(
                f"  step {r.step:6d}: loss {r.loss:.2e}, norm {r.norm:.2f}, validation accuracy "
                f"{r.val_acc:.2f}; cosine with - theta on the null space {r.projected:+.3f}, with "
                f"- theta {r.plain:+.3f}, with - gradient {r.of_loss:+.3f}"
            )
    draw(found).savefig(options.folder / "musat.png")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = 'docs/figures/musat.png'
