"""The callback reads what the module logs at validation, where the classifier knows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import pl
from lightning_runs import LIGHTNING_WARNINGS, QUIET, Follows, batches
from planted import hand_made
from short_runs import BUDGET, curve

from grokpredict.live.lightning import GrokPredictor

pytestmark = [pytest.mark.filterwarnings(own) for own in LIGHTNING_WARNINGS]

ENOUGH = {(told, 1): np.full(59, 0.5) for told in (False, True)}
LOSSES = curve(0.5, seed=7)


class Validates(Follows):
    """Logs a validation loss of ``level`` times the training loss, and an accuracy."""

    def __init__(self, level: float, *, accuracy: float | None) -> None:
        super().__init__(LOSSES)
        self.level, self.accuracy = level, accuracy

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        step = max(self.trainer.global_step - 1, 0)
        self.log("val_loss", self.level * float(LOSSES[step]))
        if self.accuracy is not None:
            self.log("val_acc", self.accuracy)


def watched(module: pl.LightningModule, **options: Any) -> GrokPredictor:
    classifier = hand_made(scores=ENOUGH, validated_scores=ENOUGH, grids=((40, 1), (80, 1)))
    predictor = GrokPredictor(classifier, budget=BUDGET, action="warn")
    torch.manual_seed(0)
    options = {**QUIET, "max_steps": 100, "val_check_interval": 10, **options}
    trainer = pl.Trainer(callbacks=[predictor], **options)
    trainer.fit(module, batches(), batches(2))
    return predictor


@pytest.mark.parametrize(("level", "chance"), [(2.0, 0.75), (50.0, 0.25)])
@pytest.mark.parametrize("accuracy", [0.3, 30.0])
def test_validation_loss_and_accuracy_are_read(
    level: float, chance: float, accuracy: float
) -> None:
    predictor = watched(Validates(level, accuracy=accuracy))
    assert predictor.verdicts[0].probability == pytest.approx(chance)
    told = predictor.verdicts[0].features
    # The last validation before the look was after 30 steps.
    expected = np.log10(level * LOSSES[29]) - np.median(np.log10(LOSSES[:5]))
    assert told["val_loss_level"] == pytest.approx(expected, abs=1e-5)
    assert told["val_acc_gain"] == 0
    assert told["val_acc_log_odds"] == pytest.approx(np.log10(0.301 / 0.701))


def test_without_an_accuracy_the_metrics_are_not_read() -> None:
    predictor = watched(Validates(2.0, accuracy=None))
    assert predictor.verdicts[0].probability == pytest.approx(0.2)
    assert "val_loss_level" not in predictor.verdicts[0].features


def test_the_sanity_check_is_no_evaluation() -> None:
    predictor = watched(Validates(2.0, accuracy=0.3), val_check_interval=35, num_sanity_val_steps=2)
    # One evaluation, after 35 steps: too few to read, and they wait for the next.
    assert predictor.verdicts[0].probability is None
    assert "No suitable evaluation" in predictor.verdicts[0].reason
    assert predictor.verdicts[1].probability == pytest.approx(0.75)
