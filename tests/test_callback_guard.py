"""A run that has generalised is left alone, whatever its metric is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import DOOMED, LIGHTNING_WARNINGS, QUIET, Follows, batches, fit
from short_runs import BUDGET

from grokpredict.live.lightning import GrokPredictor, StoppingReason
from grokpredict.model.classifier import GrokClassifier

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]
pytestmark.append(pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"))


class Logs(Follows):
    """Validates on one loader or more, and logs ``value`` as ``name``."""

    def __init__(self, name: str, value: float = 0.99) -> None:
        super().__init__(DOOMED)
        self.name, self.value = name, value

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log(self.name, self.value)


def validated(module: Logs, predictor: GrokPredictor, loaders: int = 1, **options: Any) -> Any:
    ckpt = {key: options.pop(key) for key in ("ckpt_path",) if key in options}
    options = {"max_steps": 210, "val_check_interval": 25, **QUIET, **options}
    trainer = pl.Trainer(callbacks=[predictor], **options)
    loader: Any = batches(1) if loaders == 1 else [batches(1) for _ in range(loaders)]
    trainer.fit(module, batches(), loader, **ckpt, **(WEIGHTS_ONLY if ckpt else {}))
    return trainer


@pytest.mark.parametrize(
    "name",
    [
        "val_MulticlassAccuracy",
        "val/BinaryAccuracy",
        "metrics/val_acc",
        "val_top1",
        "val/acc@1",
        "valid/top-1",
        "eval_accuracy_top1",
        "model/val_mean_accuracy",
        "accuracy/dev",
        "Accuracy_Validation",
        "heldoutAccuracy",
    ],
)
def test_a_run_that_has_generalised_is_left_alone(classifier: GrokClassifier, name: str) -> None:
    predictor = GrokPredictor(classifier, budget=BUDGET)
    assert validated(Logs(name), predictor).global_step == 210
    assert "has generalised already" in predictor.verdicts[0].reason
    assert validated(Logs(name, 0.3), GrokPredictor(classifier)).global_step == 201


@pytest.mark.parametrize("name", ["val_acc_top5", "val_err", "train_top1", "val_loss", "val_acc@5"])
def test_other_metrics_are_not_taken_for_it(classifier: GrokClassifier, name: str) -> None:
    assert validated(Logs(name), GrokPredictor(classifier, budget=BUDGET)).global_step == 201


def test_several_validation_loaders(classifier: GrokClassifier) -> None:
    """Lightning then names them: ``val_acc/dataloader_idx_0``."""
    predictor = GrokPredictor(classifier, budget=BUDGET)
    trainer = validated(Logs("val_acc"), predictor, loaders=2)
    assert "val_acc/dataloader_idx_0" in trainer.callback_metrics
    assert trainer.global_step == 210


def test_a_misspelt_val_metric_is_said_once_and_another_is_read(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = GrokPredictor(classifier, budget=BUDGET, val_metric="val_ac")
    assert validated(Logs("val_acc"), predictor).global_step == 210
    assert caplog.text.count("logs no metric 'val_ac' (there are 'val_acc')") == 1
    assert "another is read meanwhile" in caplog.text


def test_a_val_metric_that_is_not_there_stops_nothing(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the run has generalised cannot be known, and the user asked for that."""
    predictor = GrokPredictor(classifier, budget=BUDGET, val_metric="heldout_f1")
    assert validated(Logs("val_f1"), predictor).global_step == 210
    assert predictor.stopping_reason is StoppingReason.NOT_STOPPED
    assert "not stopped: the validation logs no metric 'heldout_f1'" in caplog.text


def test_a_validation_without_a_known_metric_is_said_once(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = GrokPredictor(classifier, budget=BUDGET)
    assert validated(Logs("val_f1"), predictor).global_step == 201
    said = "the validation logs no metric known as val_acc (there are 'val_f1'); give GrokPredictor"
    assert caplog.text.count(said) == 1


def test_two_predictors_with_two_metrics(classifier: GrokClassifier, tmp_path: Path) -> None:
    first = GrokPredictor(classifier, val_metric="val_a", action="warn")
    second = GrokPredictor(classifier, val_metric="val_b", action="warn")
    trainer = fit(Follows(DOOMED), first, second)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    kept = torch.load(tmp_path / "a.ckpt", weights_only=True)["callbacks"]
    assert {first.state_key, second.state_key} <= set(kept)


# --------------------------------------------------------------------- resumed


def saved(
    classifier: GrokClassifier, folder: Path, module: Any, step: int, **arguments: Any
) -> Path:
    trainer = validated(
        module, GrokPredictor(classifier, budget=BUDGET, **arguments), max_steps=step
    )
    trainer.save_checkpoint(folder / "a.ckpt")
    return folder / "a.ckpt"


def test_the_last_validation_survives_a_resume(classifier: GrokClassifier, tmp_path: Path) -> None:
    path = saved(classifier, tmp_path, Logs("val_acc"), 195)
    predictor = GrokPredictor(classifier, budget=BUDGET)
    module = Logs("val_acc")
    trainer = validated(module, predictor, ckpt_path=path, val_check_interval=400)
    assert trainer.global_step == 210
    assert "val_acc = 0.99" in predictor.verdicts[0].reason


@pytest.mark.parametrize(
    ("before", "after", "step", "end"),
    [
        ({"action": "warn"}, {"action": "stop"}, 190, 201),
        ({"action": "stop"}, {"action": "warn"}, 190, 210),
        # The abort came first: it is acted on at once.
        ({"action": "warn"}, {"action": "stop"}, 204, 205),
        ({"action": "warn"}, {"action": "warn"}, 204, 210),
        ({"max_false_abort": 0.04}, {"max_false_abort": 0.05}, 190, 201),
        ({"max_false_abort": 0.05}, {"max_false_abort": 0.001}, 190, 210),
        (
            {"action": "warn"},
            {"action": "stop", "max_false_abort": 0.001},
            204,
            210,
        ),
    ],
)
def test_other_arguments_hold_after_a_resume(
    classifier: GrokClassifier,
    tmp_path: Path,
    before: dict[str, Any],
    after: dict[str, Any],
    step: int,
    end: int,
) -> None:
    path = saved(classifier, tmp_path, Logs("val_acc", 0.1), step, **before)
    predictor = GrokPredictor(classifier, budget=BUDGET, **after)
    trainer = validated(Logs("val_acc", 0.1), predictor, ckpt_path=path)
    assert trainer.global_step == end
    assert predictor.stopped_step == (None if end == 210 else end)


# --------------------------------------------------------------------- said at start and end


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 210, "min_steps": 210},
        {"max_steps": -1, "max_epochs": 11, "min_epochs": 11},
    ],
)
def test_a_fit_that_cannot_be_stopped_is_said_at_its_start(
    classifier: GrokClassifier, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    class First(pl.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            said.append(caplog.text)

    fit(Follows(DOOMED), GrokPredictor(classifier), First(), n=20, **options)
    assert "keep the fit going to its end" in said[0]
    caplog.clear()
    fit(Follows(DOOMED), GrokPredictor(classifier, action="warn"), n=20, **options)
    assert "keep the fit going" not in caplog.text


@pytest.mark.filterwarnings("ignore:`LightningModule.configure_optimizers` returned `None`")
def test_a_fit_without_a_counted_step_says_so_at_its_end(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    class Raw(Follows):
        """Steps an optimiser that Lightning does not know."""

        def __init__(self) -> None:
            super().__init__(DOOMED)
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = (self.weight - 1).square()
            self.raw = getattr(self, "raw", torch.optim.SGD([self.weight], lr=0.1))
            self.raw.zero_grad()
            self.manual_backward(loss)
            self.raw.step()
            return loss

        def configure_optimizers(self) -> None:
            return None

    predictor = GrokPredictor(classifier, budget=BUDGET)
    fit(Raw(), predictor, n=60, max_epochs=1, max_steps=-1)
    assert "60 batches went by without an optimiser step that Lightning counts" in caplog.text
    assert "step the optimisers that self.optimizers() returns" in predictor.summary()


def test_a_fit_that_ends_early_says_that_no_look_was_taken(classifier: GrokClassifier) -> None:
    class Ends(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            trainer.should_stop = trainer.global_step == 30

    predictor = GrokPredictor(classifier)
    fit(Follows(np.array(DOOMED)), predictor, Ends())
    assert predictor.summary() == (
        "no look was taken: the fit ended after 30 steps, before the first look after 200"
    )
