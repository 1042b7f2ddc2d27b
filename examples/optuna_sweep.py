"""
Optuna: prune doomed trials
===========================

A sweep with Optuna in which doomed runs are pruned.

::

    pip install "grokpredict[optuna]"
    python examples/optuna_sweep.py [--classifier FILE] [--trials 20] [--max-steps 10000] [--check]

Each trial trains a network on a + b mod 31 under Lightning. ``GrokPredictor`` stops the fit of a
run that will not generalise, ``prune_if_stopped`` tells Optuna. With ``--check`` every stopped run
is trained to its end after all, to see how many of them would have generalised.
"""

import argparse
import logging

import optuna
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from grokpredict import GrokPredictor
from grokpredict.live.optuna import prune_if_stopped

P = 31


class Addition(LightningModule):
    def __init__(self, lr: float, weight_decay: float, train_fraction: float):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
        pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
        pairs = pairs[torch.randperm(len(pairs))]
        n_train = int(train_fraction * len(pairs))
        self.train_set, self.val_set = (
            TensorDataset(nn.functional.one_hot(part, P).flatten(1).float(), part.sum(dim=1) % P)
            for part in (pairs[:n_train], pairs[n_train:])
        )

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return nn.functional.cross_entropy(self.net(inputs), targets)

    def validation_step(self, batch, batch_idx):
        inputs, targets = batch
        outputs = self.net(inputs)
        accuracy = (outputs.argmax(dim=1) == targets).float().mean()
        self.log("val_loss", nn.functional.cross_entropy(outputs, targets))
        self.log("val_acc", accuracy)

    def configure_optimizers(self):
        return torch.optim.AdamW(
            self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay
        )

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=128, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val_set, batch_size=len(self.val_set))


def fit(hparams: dict[str, float], seed: int, max_steps: int, *callbacks: Callback) -> Trainer:
    seed_everything(seed, verbose=False)
    trainer = Trainer(
        max_steps=max_steps,
        val_check_interval=50,  # so that the looks can read the validation metrics too
        check_val_every_n_epoch=None,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Addition(**hparams))
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--max-steps", type=int, default=10_000)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    trained = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal trained
        hparams = {
            "lr": trial.suggest_float("lr", 1e-3, 1e-2, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-3, 3.0, log=True),
            "train_fraction": trial.suggest_float("train_fraction", 0.3, 0.8),
        }
        predictor = GrokPredictor(arguments.classifier)
        trainer = fit(hparams, trial.number, arguments.max_steps, predictor)
        trained += trainer.global_step
        prune_if_stopped(predictor)
        return float(trainer.callback_metrics["val_acc"])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=arguments.trials)
    pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
    print(f"{len(pruned)} of {arguments.trials} trials were pruned")
    print(f"{trained} of {arguments.trials * arguments.max_steps} steps were trained")
    if len(pruned) < arguments.trials:
        print(f"best validation accuracy {study.best_value:.3f} with {study.best_params}")
    if arguments.check:
        ends = [fit(trial.params, trial.number, arguments.max_steps) for trial in pruned]
        lost = sum(float(trainer.callback_metrics["val_acc"]) >= 0.95 for trainer in ends)
        print(f"{lost} of the {len(pruned)} pruned runs generalise if they are trained to the end")


if __name__ == "__main__":
    main()
