"""
Two runs, one of them doomed
============================

Two small networks under Lightning: one will grok, one never will. Which one gets stopped?

Both learn a + b mod 31 from part of all pairs. They differ in weight decay and in how many pairs
they see. Each is trained twice with ``GrokPredictor``: once as a user would, and once with
``action="warn"`` to the end, so that we know the outcome.
"""

import logging
import time
import warnings
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from grokpredict import GrokPredictor

P = 31
MAX_STEPS = 6000
RUNS = {
    "strong weight decay, 80 % of the pairs": {"weight_decay": 1.0, "train_fraction": 0.8},
    "no weight decay, 40 % of the pairs": {"weight_decay": 0.0, "train_fraction": 0.4},
}


class ModularAddition(LightningModule):
    """An MLP on one-hot pairs, trained with AdamW."""

    def __init__(self, train_fraction: float, weight_decay: float):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
        self.val_acc: list[float] = []
        pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
        inputs = nn.functional.one_hot(pairs, P).flatten(1).float()
        samples = TensorDataset(inputs, pairs.sum(dim=1) % P)
        self.train_set, self.val_set = random_split(samples, [train_fraction, 1 - train_fraction])

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return nn.functional.cross_entropy(self.net(inputs), targets)

    def validation_step(self, batch, batch_idx):
        inputs, targets = batch
        accuracy = (self.net(inputs).argmax(dim=1) == targets).float().mean()
        self.val_acc.append(accuracy.item())
        self.log("val_acc", accuracy, batch_size=len(targets))

    def configure_optimizers(self):
        return torch.optim.AdamW(
            self.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=self.hparams.weight_decay
        )

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=128, shuffle=True, drop_last=True)

    def val_dataloader(self):
        return DataLoader(self.val_set, batch_size=len(self.val_set))


def quiet() -> None:
    """One thread, and no more output than the examples' own."""
    # Once a run without decay has memorised, its moments shrink to denormal numbers, which some
    # processors compute a hundred times more slowly.
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for text in (".*does not have many workers.*", ".*LeafSpec.*", ".*limit_val_batches.*"):
        warnings.filterwarnings("ignore", text)


def trainer_with(callback: Callback, max_steps: int, **options: Any) -> Trainer:
    return Trainer(
        max_steps=max_steps,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def fit(name: str, action: str, **hparams: float) -> tuple[GrokPredictor, Trainer, ModularAddition]:
    seed_everything(0, verbose=False)
    model = ModularAddition(**hparams)
    predictor = GrokPredictor(action=action)
    trainer = trainer_with(predictor, MAX_STEPS, num_sanity_val_steps=0, check_val_every_n_epoch=20)
    start = time.perf_counter()
    trainer.fit(model)
    print(f"\n{name}, action={action!r}: {trainer.global_step} steps")
    print(f"  {time.perf_counter() - start:.0f} s, validation accuracy {model.val_acc[-1]:.2f}")
    for line in predictor.summary().splitlines():
        print("  " + line)
    return predictor, trainer, model


def main() -> None:
    quiet()
    saved = 0
    for name, hparams in RUNS.items():
        predictor, trainer, _ = fit(name, "stop", **hparams)
        stopped = predictor.stopped_step is not None
        _, _, full = fit(name, "warn", **hparams)
        generalised = max(full.val_acc[-3:]) >= 0.95
        print(f"  trained to the end it {'generalises' if generalised else 'does not generalise'}")
        if stopped and not generalised:
            saved += MAX_STEPS - trainer.global_step
            print("  so stopping it was right")
        elif not stopped and generalised:
            print("  so leaving it alone was right")
        else:
            print("  so the decision cost compute" if not stopped else "  so a good run was lost")
    print(f"\nsaved {saved} of {2 * MAX_STEPS} steps")


if __name__ == "__main__":
    main()
