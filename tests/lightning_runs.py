"""Modules for a real Trainer whose training loss follows a given curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import pl
from short_runs import BUDGET, LR, WEIGHT_DECAY, curve
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from grokpredict.live.lightning import GrokPredictor
from grokpredict.live.monitor import GrokMonitor

#: Losses of a run that generalises and of one that does not.
GOOD, DOOMED = curve(0.9, seed=1001), curve(0.03, seed=1002)

#: What Lightning and torch say of themselves in these tests; anything else is an error.
LIGHTNING_WARNINGS = (
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning",
    "ignore:The '(train|val|test)_dataloader' does not have many workers",
)

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
}


class Follows(pl.LightningModule):
    """At optimiser step s the loss is ``losses[s]``; its gradient is that of one weight."""

    def __init__(self, losses: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("losses", torch.tensor(losses, dtype=torch.float32))
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def loss_now(self, batch: Any = None) -> Tensor:
        return self.losses[self.trainer.global_step] + 0 * self.weight

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss_now(batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)


def batches(n: int = BUDGET, batch_size: int = 1) -> DataLoader:
    return DataLoader(TensorDataset(torch.zeros(n, 1)), batch_size=batch_size)


def fit(module: pl.LightningModule, *callbacks: Any, n: int = BUDGET, **options: Any) -> pl.Trainer:
    """Fit ``module`` on ``n`` batches an epoch and return the trainer."""
    options = {**QUIET, "max_steps": BUDGET, **options}
    trainer = pl.Trainer(callbacks=list(callbacks), **options)
    trainer.fit(module, batches(n))
    return trainer


def sees(predictor: GrokPredictor, losses: np.ndarray, budget: int = BUDGET) -> bool:
    """Whether the looks were at exactly these losses, by all columns of them."""
    monitor = GrokMonitor(predictor.classifier, budget=budget)
    monitor.extend(losses)
    expected = {verdict.horizon: verdict for verdict in monitor.verdicts}
    for verdict in predictor.verdicts:
        same = expected[verdict.horizon]
        ours = {n: v for n, v in verdict.features.items() if n.startswith("train_loss")}
        theirs = {n: v for n, v in same.features.items() if n.startswith("train_loss")}
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
        assert len(ours) >= 8
        assert verdict.probability == same.probability
        assert verdict.budget == budget
    return bool(predictor.verdicts)
