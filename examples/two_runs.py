"""
The picture of two runs
=======================

The two networks of demo.py, drawn: their accuracies, and what ``GrokPredictor`` said.

::

    python examples/two_runs.py [--folder .] [--max-steps 6000]

Both memorise their training pairs within some hundred steps. One groks long after; the other never
does, and its probability falls below the abort threshold. Both are trained to the end; shaded is
what stopping saves. Writes two-runs.png.
"""

import argparse
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from demo import MAX_STEPS, ModularAddition
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything

from grokpredict import GrokPredictor

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6b6b6b"
RUNS = {
    "strong weight decay": {"weight_decay": 1.0, "train_fraction": 0.8},
    "no weight decay": {"weight_decay": 0.0, "train_fraction": 0.4},
}


class Accuracies(Callback):
    """Keeps step, training accuracy and validation accuracy of each evaluation."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, float]] = []

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        inputs, targets = module.train_set.dataset.tensors
        index = torch.as_tensor(module.train_set.indices)
        with torch.no_grad():
            correct = module.net(inputs[index]).argmax(dim=1) == targets[index]
        seen = float(correct.float().mean()), float(trainer.callback_metrics["val_acc"])
        self.rows.append((trainer.global_step, *seen))


def draw(
    above: Axes, below: Axes, name: str, accuracies: Accuracies, predictor: GrokPredictor
) -> None:
    steps, train, validation = map(np.array, zip(*accuracies.rows, strict=True))
    looks = [verdict for verdict in predictor.verdicts if verdict.probability is not None]
    horizons = [verdict.horizon for verdict in looks]
    above.plot(steps, train, color=GREY, label="training")
    above.plot(steps, validation, color=BLUE, label="validation")
    below.plot(horizons, [verdict.probability for verdict in looks], "o-", color=BLUE, label="P")
    limits = [np.nan if verdict.threshold is None else verdict.threshold for verdict in looks]
    below.plot(horizons, limits, "--", color=ORANGE, label="abort threshold")
    above.set(title=name, xscale="log", ylim=(-0.03, 1.03))
    below.set(xscale="log", yscale="log", ylim=(0.004, 1.2), xlabel="step")
    # A fit that only warns is looked at after the abort too.
    for stop in [verdict.horizon for verdict in looks if verdict.action == "abort"][:1]:
        for axis in (above, below):
            axis.axvspan(stop, steps[-1], color=ORANGE, alpha=0.15, lw=0)
        text = f"stopped at step {stop}, \nthe rest is saved "
        above.text(stop, 0.5, text, color=ORANGE, fontsize="small", ha="right")


def train(max_steps: int, **hparams: float) -> tuple[Accuracies, GrokPredictor]:
    seed_everything(0, verbose=False)
    accuracies, predictor = Accuracies(), GrokPredictor(action="warn")
    trainer = Trainer(
        max_steps=max_steps,
        callbacks=[accuracies, predictor],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        val_check_interval=20,
        check_val_every_n_epoch=None,
    )
    trainer.fit(ModularAddition(**hparams))
    return accuracies, predictor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--max-steps", type=int, default=MAX_STEPS)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    figure = Figure(figsize=(8, 4.4), layout="constrained", dpi=150)
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for axes, (name, hparams) in zip(panels.T, RUNS.items(), strict=True):
        accuracies, predictor = train(arguments.max_steps, **hparams)
        print(f"{name}\n{predictor.summary()}\n")
        draw(*axes, name, accuracies, predictor)
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("P(generalises)")
    for axis in panels[:, 0]:
        axis.legend(loc="center left", frameon=False, fontsize="small")
    figure.savefig(arguments.folder / "two-runs.png")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = 'docs/figures/two-runs.png'
