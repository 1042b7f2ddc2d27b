"""The callback reads what the module logs at validation, and what else looks read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import pl
from lightning_runs import LIGHTNING_WARNINGS, QUIET, Follows, batches
from look_models import looking
from short_runs import BUDGET, curve

from grokpredict.features.profile import ACCURACY_MARGIN
from grokpredict.live.lightning import GrokPredictor
from grokpredict.model.verdict import read_and_missing

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]

LOSSES = curve(0.5, seed=7)


class Validates(Follows):
    """Logs a validation loss of ``level``, an accuracy, and a training accuracy."""

    def __init__(self, level: float, *, accuracy: float | None) -> None:
        super().__init__(LOSSES)
        self.level, self.accuracy = level, accuracy
        self.weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))

    def loss_now(self, batch: Any = None) -> Any:
        return self.losses[self.trainer.global_step] + 0 * self.weight.sum()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("train_acc", 50.0 if (self.accuracy or 0) > 1 else 0.5)
        return self.loss_now()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.level)
        if self.accuracy is not None:
            self.log("val_acc", self.accuracy)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def watched(module: pl.LightningModule, **options: Any) -> GrokPredictor:
    classifier = looking("val_loss_level", [1.0], odds=-np.log(3))
    predictor = GrokPredictor(classifier, budget=BUDGET, action="warn")
    torch.manual_seed(0)
    options = {**QUIET, "max_steps": 300, "val_check_interval": 20, **options}
    trainer = pl.Trainer(callbacks=[predictor], **options)
    trainer.fit(module, batches(), batches(2))
    return predictor


@pytest.mark.parametrize(("level", "chance"), [(2.0, 0.75), (50.0, 0.25)])
@pytest.mark.parametrize("accuracy", [0.3, 30.0])
def test_all_that_the_module_logs_is_read(level: float, chance: float, accuracy: float) -> None:
    predictor = watched(Validates(level, accuracy=accuracy))
    first = predictor.verdicts[0]
    assert first.probability == pytest.approx(chance)
    assert (first.action == "abort") == (chance < 0.5)
    assert first.features["val_loss_level"] == pytest.approx(np.log10(level))
    odds = np.log10((0.3 + ACCURACY_MARGIN) / (0.7 + ACCURACY_MARGIN))
    assert first.features["val_acc_level"] == pytest.approx(odds)
    assert first.features["train_acc_level"] == pytest.approx(0)
    assert first.features["weight_norm_change"] == pytest.approx(0, abs=1e-6)
    assert read_and_missing(first) == (
        "read: train_loss, train_acc, weight_norm, spectrum, val_loss, val_acc (every 20 steps)"
    )
    assert read_and_missing(first) in predictor.summary()


def test_without_an_accuracy_the_loss_is_read() -> None:
    predictor = watched(Validates(2.0, accuracy=None))
    assert predictor.verdicts[0].probability == pytest.approx(0.75)
    assert "missing: val_acc" in predictor.summary()


def test_a_validation_after_the_last_step_before_a_look_counts() -> None:
    """The sixth, after 200 steps: with five there would be no look at validation."""
    predictor = watched(Validates(2.0, accuracy=0.3), val_check_interval=40)
    assert "val_loss" not in predictor.verdicts[0].reads
    assert "val_loss" in predictor.verdicts[1].reads
    predictor = watched(Validates(2.0, accuracy=0.3), val_check_interval=33)
    assert "val_loss" in predictor.verdicts[0].reads


def test_before_six_evaluations_nothing_is_stopped() -> None:
    predictor = watched(Validates(50.0, accuracy=0.3), val_check_interval=45)
    first, second = predictor.verdicts
    assert (first.action, first.threshold) == ("continue", None)
    assert "nothing is stopped before there are six evaluations" in first.reason
    assert (second.action, second.threshold) == ("abort", 0.5)


def test_the_sanity_check_is_no_evaluation() -> None:
    predictor = watched(
        Validates(2.0, accuracy=0.3), val_check_interval=400, num_sanity_val_steps=2
    )
    assert predictor.verdicts[0].reads == ("train_loss", "train_acc", "weight_norm", "spectrum")
