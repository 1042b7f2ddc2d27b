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
import logging
import warnings
from pathlib import Path

import torch
from demo import ModularAddition
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import nn

from grokpredict import TrajectoryProbe, diagnose
from grokpredict.diagnosis.network import Diagnosis
from grokpredict.reporting import diagnosis_figure, diagnosis_text

RUNS = {
    "grokked": {"train_fraction": 0.8, "weight_decay": 1.0},
    "doomed": {"train_fraction": 0.4, "weight_decay": 0.0},
}


def fit(max_steps: int, every: int, **hparams: float) -> tuple[LightningModule, TrajectoryProbe]:
    seed_everything(0, verbose=False)
    module = ModularAddition(**hparams)
    probe = TrajectoryProbe(every=every, snapshots=16)
    trainer = Trainer(
        max_steps=max_steps,
        callbacks=[probe],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module)
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
    for text in (".*does not have many workers.*", ".*LeafSpec.*", ".*limit_val_batches.*"):
        warnings.filterwarnings("ignore", text)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=6000)
    parser.add_argument("--folder", type=Path, default=Path())
    told = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    for name, hparams in RUNS.items():
        found = why(told.max_steps, **hparams)
        print(f"\n{name}, {hparams}")
        print(diagnosis_text(found))
        diagnosis_figure(found).savefig(told.folder / f"diagnose-{name}.png")


if __name__ == "__main__":
    main()
