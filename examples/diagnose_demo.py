"""
Why a run grokked or did not
============================

Why did the two runs of the demo end as they did? Their trajectory and their landscape.

::

    python examples/diagnose_demo.py [--max-steps 6000] [--folder .]

Trains the two networks of demo.py under a ``TrajectoryProbe``, prints a page about each and draws
a figure of each, diagnose-grokked.png and diagnose-doomed.png.
"""

import argparse
from pathlib import Path

import torch
from demo import RUNS, ModularAddition, quiet, trainer_with
from pytorch_lightning import LightningModule, seed_everything
from torch import nn

from grokpredict import TrajectoryProbe, diagnose
from grokpredict.diagnosis.network import Diagnosis
from grokpredict.reporting import diagnosis_figure, diagnosis_text


def fit(max_steps: int, every: int, **hparams: float) -> tuple[LightningModule, TrajectoryProbe]:
    seed_everything(0, verbose=False)
    module = ModularAddition(**hparams)
    probe = TrajectoryProbe(every=every, snapshots=16)
    trainer_with(probe, max_steps, limit_val_batches=0).fit(module)
    return module, probe


def batch(samples: torch.utils.data.Subset) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = samples.dataset.tensors
    index = torch.as_tensor(samples.indices)
    return inputs[index], targets[index]


def why(max_steps: int, **hparams: float) -> Diagnosis:
    module, probe = fit(max_steps, max(max_steps // 240, 1), **hparams)
    return diagnose(
        module.net,
        nn.CrossEntropyLoss(),
        batch(module.train_set),
        batch(module.val_set),
        probe.snapshots,
        trajectory=probe.trajectory,
    )


def main() -> None:
    quiet()
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=6000)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    for file, (name, hparams) in zip(("grokked", "doomed"), RUNS.items(), strict=True):
        diagnosis = why(options.max_steps, **hparams)
        print(f"\n{name}")
        print(diagnosis_text(diagnosis))
        diagnosis_figure(diagnosis).savefig(options.folder / f"diagnose-{file}.png")


if __name__ == "__main__":
    main()
