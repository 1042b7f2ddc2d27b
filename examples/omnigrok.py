"""
Paper: Omnigrok
===============

The figures of Omnigrok (Liu et al. 2023, arXiv 2210.01117), made small.

::

    python examples/omnigrok.py [--folder .] [--quick]

scikit-learn's digits and a network of 2 x 100 ReLU units, squared error. Training and validation
loss over the weight norm, and the Goldilocks norm w_c; a run that starts with eightfold weights,
with its norm; the same network trained at constant norm; validation accuracy over the size of the
training set at w_c and at a large norm.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from small_runs import Batch, Trained, network, parser, train
from torch import nn

from grokpredict.diagnosis.norm import ReducedLandscape, fixed_norm, reduced_landscape
from grokpredict.diagnosis.run import RunDiagnosis, diagnose_run
from grokpredict.reporting import run_diagnosis_text

LOSS = nn.MSELoss()
LARGE = 8.0
BLUE, RED, GREY = "#1f5a96", "#b3541e", "#8a8a8a"


def digits(n: int) -> tuple[Batch, Batch]:
    inputs, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    x = torch.tensor(inputs[order] / 16.0, dtype=torch.float32)
    y = nn.functional.one_hot(torch.tensor(classes[order]), 10).float()
    return (x[:n], y[:n]), (x[900:], y[900:])


def made(scale: float = 1.0) -> nn.Sequential:
    return network([64, 100, 100, 10], nn.ReLU, scale)


def norm_of(module: nn.Module) -> float:
    return float(nn.utils.parameters_to_vector(module.parameters()).detach().norm())


def run(scale: float, decay: float, steps: int, n: int, constant: float | None = None) -> Trained:
    """Train with AdamW; at constant norm if one is given."""
    batches = digits(n)
    module = made(scale)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=decay)
    if constant is not None:
        fixed_norm(optimizer, constant)
    name = f"{scale:g}-fold weights, decay {decay:g}"
    return train(module, LOSS, *batches, optimizer, steps, snapshots=0, name=name)


def goldilocks(steps: int, n: int, norms: np.ndarray) -> ReducedLandscape:
    train_batch, val_batch = digits(n)
    return reduced_landscape(made(), LOSS, train_batch, val_batch, norms, steps=steps)


def with_accuracy(landscape: ReducedLandscape) -> str:
    rows = zip(landscape.norms, landscape.train_loss, landscape.val_loss, strict=True)
    return "\n".join(f"  norm {w:7.2f}: training {a:.2e}, validation {b:.4f}" for w, a, b in rows)


def draw(
    landscape: ReducedLandscape, runs: dict[str, Trained], sizes: dict[str, list[tuple[int, float]]]
) -> Figure:
    figure = Figure(figsize=(10.5, 5.8), layout="constrained", dpi=150)
    axes = figure.subplots(2, 3).ravel()
    axes[0].loglog(landscape.norms, landscape.train_loss, "o-", color=BLUE, ms=3, label="training")
    axes[0].loglog(landscape.norms, landscape.val_loss, "o-", color=RED, ms=3, label="validation")
    if landscape.goldilocks is not None:
        axes[0].axvline(landscape.goldilocks, color=GREY, ls=":", label="w_c")
    axes[0].set(title="a  L and U", xlabel="weight norm", ylabel="loss")
    for axis, letter, (name, each) in zip(axes[1:4], "bcd", runs.items(), strict=True):
        for key, colour in (("train_acc", BLUE), ("val_acc", RED)):
            curve = each.run.channels[key]
            axis.plot(np.maximum(curve.steps, 1), curve.values, color=colour, label=key[:-4])
        axis.set(title=f"{letter}  {name}", xlabel="step", ylabel="accuracy", xscale="log")
    for (name, each), colour in zip(runs.items(), (RED, BLUE, GREY), strict=True):
        trajectory = each.probe.trajectory
        axes[4].plot(trajectory.steps, trajectory.weight_norm, color=colour, label=name)
    axes[4].set(title="e  Norms", xlabel="step", ylabel="weight norm", yscale="log")
    for (name, points), colour in zip(sizes.items(), (BLUE, RED), strict=True):
        axes[5].semilogx(*zip(*points, strict=True), "o-", color=colour, ms=3, label=name)
    counts = [k for k, _ in next(iter(sizes.values()))]
    axes[5].set_xticks(counts, [str(k) for k in counts], fontsize=7)
    axes[5].minorticks_off()
    axes[5].set(title="f  Data size", xlabel="training samples", ylabel="validation accuracy")
    for axis in axes:
        axis.legend(frameon=False, fontsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    options = parser().parse_args()
    steps, short, n = (60, 40, 60) if options.quick else (12_000, 1000, 400)
    own = norm_of(made())
    norms = own * np.geomspace(0.3, 12, 3 if options.quick else 13)
    landscape = goldilocks(short, n, norms)
    centre = landscape.goldilocks or own
    print(f"w_c = {landscape.goldilocks}, PyTorch's own initial norm {own:.3g}")
    print(with_accuracy(landscape) + "\n")
    runs = {
        "eightfold weights": run(LARGE, 0.3, steps, n),
        "eightfold, norm held": run(LARGE, 0.0, steps, n, constant=LARGE * own),
        "norm held at w_c": run(1.0, 0.0, steps, n, constant=centre),
    }
    for name, each in runs.items():
        found: RunDiagnosis = diagnose_run(
            each.run, goldilocks=centre, trajectory=each.probe.trajectory
        )
        print(f"{name}: " + run_diagnosis_text(found) + "\n")
    counts = (30, 60) if options.quick else (30, 60, 125, 250, 500, 800)
    sizes = {}
    for name, norm in (("at w_c", centre), ("eightfold weights", LARGE * own)):
        sizes[name] = [(k, accuracy_at(norm, k, short)) for k in counts]
        print(name + ": " + ", ".join(f"{k} samples {acc:.3f}" for k, acc in sizes[name]))
    draw(landscape, runs, sizes).savefig(options.folder / "omnigrok.png")


def accuracy_at(norm: float, n: int, steps: int) -> float:
    return float(goldilocks(steps, n, np.array([norm])).val_acc[0])


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = 'docs/figures/omnigrok.png'
