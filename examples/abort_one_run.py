"""
Lightning: stop a doomed run
============================

One line more: ``GrokPredictor`` in a Lightning script.

::

    python examples/abort_one_run.py [--classifier FILE] [--max-steps 10000]

A network that memorises a + b mod 31 without weight decay, and is validated every hundred steps.
Where the classifier is sure that it will not generalise within ``max_steps``, the fit ends.
"""

import argparse

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader

from grokpredict import GrokPredictor

P = 31


class Memoriser(LightningModule):
    def __init__(self, lr: float = 3e-3, weight_decay: float = 0.0):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
        pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
        pairs = pairs[torch.randperm(len(pairs))]
        inputs, targets = nn.functional.one_hot(pairs, P).flatten(1).float(), pairs.sum(dim=1) % P
        n_train = len(pairs) * 2 // 5
        self.train_set = (inputs[:n_train], targets[:n_train])
        self.val_set = (inputs[n_train:], targets[n_train:])

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return nn.functional.cross_entropy(self.net(inputs), targets)

    def validation_step(self, batch, batch_idx):
        inputs, targets = batch
        outputs = self.net(inputs)
        self.log("val_loss", nn.functional.cross_entropy(outputs, targets))
        self.log("val_acc", (outputs.argmax(dim=1) == targets).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(
            self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay
        )

    def train_dataloader(self):
        # Full batches, a hundred an epoch.
        return DataLoader([self.train_set] * 100, batch_size=None)

    def val_dataloader(self):
        return DataLoader([self.val_set], batch_size=None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--max-steps", type=int, default=10_000)
    arguments = parser.parse_args()
    seed_everything(0, verbose=False)
    predictor = GrokPredictor(arguments.classifier)
    trainer = Trainer(
        max_steps=arguments.max_steps,
        callbacks=[predictor],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Memoriser())
    print(f"trained {trainer.global_step} of {arguments.max_steps} steps")
    print(predictor.summary())


if __name__ == "__main__":
    main()
