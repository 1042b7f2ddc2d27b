"""
Paper: Notsawo et al. 2023
==========================

The figures of Notsawo et al. 2023 (arXiv 2306.13253), made small.

::

    python examples/notsawo.py [--modulus 23] [--folder .] [--quick]

Two runs on a + b mod p, with 30 % and with 80 % of the pairs. For each: a page of sentences, and a
figure with the curves and t1 to t4, cosines of parameters and gradients along the trajectory, the
ends of the Hessian's spectrum, the landscape along the paper's directions and in the plane of the
leading modes. A third figure has what the paper's explanation rests on: the shape of the curvature,
and predicted against actual change of the loss.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from small_runs import Square, addition, network, parser, train
from torch import nn

from grokpredict import diagnose
from grokpredict.diagnosis.network import Diagnosis
from grokpredict.reporting import diagnosis_figure, diagnosis_text

LOSS = nn.CrossEntropyLoss()


def one(p: int, share: float, steps: int, points: int) -> Diagnosis:
    train_batch, val_batch = addition(p, share)
    module = network([2 * p, 3 * p, p], Square)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.5)
    every = max(steps // 200, 1)
    name = f"a + b mod {p}, {share:.0%} of the pairs"
    done = train(module, LOSS, train_batch, val_batch, optimizer, steps, every=every, name=name)
    return diagnose(
        module, LOSS, train_batch, val_batch, done.probe.snapshots,
        run=done.run, trajectory=done.probe.trajectory, points=points, plane_points=points,
    )  # fmt: skip


def changes(found: dict[float, Diagnosis]) -> Figure:
    """Ratio of the curvature's ends, and the change of the loss: predicted, actual."""
    figure = Figure(figsize=(9, 3.2), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    for (share, each), colour in zip(found.items(), ("#1f5a96", "#b3541e"), strict=True):
        steps = [c.step for c in each.curvatures]
        left.plot(steps, [c.ratio for c in each.curvatures], "o-", color=colour, ms=3,
                  label=f"{share:.0%} of the pairs")  # fmt: skip
        pairs = [(c.change.second_order, c.change.actual) for c in each.curvatures if c.change]
        predicted, actual = np.array(pairs).T
        right.plot(predicted, actual, "o", color=colour, ms=4, label=f"{share:.0%} of the pairs")
    left.set(xlabel="optimiser step", ylabel="|lambda_min| / lambda_max", title="Shape")
    reach = max(abs(np.array([right.get_xlim(), right.get_ylim()])).max(), 1e-9)
    right.plot([-reach, reach], [-reach, reach], color="#8a8a8a", lw=0.8)
    right.set_xscale("symlog", linthresh=reach * 1e-4)
    right.set_yscale("symlog", linthresh=reach * 1e-4)
    for side in (right.xaxis, right.yaxis):
        side.get_major_locator().set_params(numticks=7)  # else labels overlap
    right.set(xlabel="G'd + d'Hd / 2", ylabel="L(theta + d) - L(theta)", title="Change of the loss")
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    arguments = parser()
    arguments.add_argument("--modulus", type=int, default=23)
    options = arguments.parse_args()
    p, steps, points = (7, 60, 7) if options.quick else (options.modulus, 4000, 31)
    found = {share: one(p, share, steps, points) for share in (0.3, 0.8)}
    for share, each in found.items():
        print(diagnosis_text(each) + "\n")
        diagnosis_figure(each).savefig(options.folder / f"notsawo-{share:.0%}.png".replace("%", ""))
    changes(found).savefig(options.folder / "notsawo-changes.png")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = 'docs/figures/notsawo-80.png'
