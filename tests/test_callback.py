"""The callback on a real Trainer: what it sees, what it does."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import NAMESPACE, pl
from lightning_runs import (
    DOOMED,
    GOOD,
    LIGHTNING_WARNINGS,
    QUIET,
    Follows,
    batches,
    fit,
    sees,
)
from short_runs import BUDGET, LR, WEIGHT_DECAY
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from grokpredict.live.lightning import GrokPredictor, StoppingReason
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.configuration import Configuration

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]


@pytest.fixture
def predictor(classifier: GrokClassifier) -> GrokPredictor:
    return GrokPredictor(classifier)


# --------------------------------------------------------------------- the main job


def test_a_doomed_run_is_stopped_in_mid_epoch(predictor: GrokPredictor) -> None:
    trainer = fit(Follows(DOOMED), predictor)
    assert trainer.global_step == predictor.stopped_step == 201
    assert predictor.stopping_reason is StoppingReason.WILL_NOT_GENERALISE
    assert predictor.stopping_reason_message is not None
    assert "stopped at step 201" in predictor.stopping_reason_message
    assert [verdict.action for verdict in predictor.verdicts] == ["abort"]
    assert sees(predictor, DOOMED)


def test_a_good_run_is_trained_to_its_end(predictor: GrokPredictor) -> None:
    trainer = fit(Follows(GOOD), predictor)
    assert trainer.global_step == BUDGET
    assert predictor.stopped_step is None
    assert predictor.stopping_reason is StoppingReason.NOT_STOPPED
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert sees(predictor, GOOD)


def test_warn_trains_on_and_says_so(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = GrokPredictor(classifier, action="warn")
    trainer = fit(Follows(DOOMED), predictor)
    assert trainer.global_step == BUDGET
    assert predictor.stopping_reason is StoppingReason.WARNED_ONLY
    assert predictor.stopped_step is None
    # The looks go on; the warning is given once, and is the message that is kept.
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert caplog.text.count("would be stopped") == 1
    assert predictor.stopping_reason_message.startswith("would be stopped: After 200 steps")


def test_summary_tells_each_look_and_what_was_saved(predictor: GrokPredictor) -> None:
    assert "no fit was made" in predictor.summary()
    fit(Follows(DOOMED), predictor)
    first, read, last = predictor.summary().splitlines()
    assert first.startswith("step 200: abort: After 200 steps, P(generalises by 400) = ")
    assert last == "stopped at step 201, 199 steps were not trained"
    assert read == "read: train_loss, weight_norm, spectrum; missing: val_loss, train_acc, val_acc"


def test_the_reason_is_logged_wherever_lightning_logs(
    predictor: GrokPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # which Lightning's own messages do not heed
    try:
        fit(Follows(GOOD), predictor)
        fit(Follows(DOOMED), predictor)
    finally:
        root.setLevel(level)
    ours = [record for record in caplog.records if "grokpredict" in record.name]
    assert {record.name for record in ours} == {f"{NAMESPACE}.grokpredict"}
    texts = [record.getMessage() for record in ours]
    assert [text.split(": ")[1] for text in texts] == [
        "continue",
        "continue",
        "stopped at step 201",
    ]


def test_context_is_read_off_the_trainer(predictor: GrokPredictor) -> None:
    class Warm(Follows):
        def configure_optimizers(self) -> Any:
            groups = [
                {"params": [self.weight], "weight_decay": WEIGHT_DECAY},
                {"params": [self.bias], "weight_decay": 0.0},
            ]
            optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.8, 0.9))
            warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=200)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": warm, "interval": "step"},
            }

        def __init__(self, losses: np.ndarray) -> None:
            super().__init__(losses)
            self.bias = torch.nn.Parameter(torch.zeros(3))

    trainer = pl.Trainer(callbacks=[predictor], max_steps=50, accumulate_grad_batches=2, **QUIET)
    trainer.fit(Warm(GOOD), batches(600, batch_size=3))
    assert predictor._configuration == Configuration(
        optimizer="adamw",
        learning_rate=LR,
        weight_decay=WEIGHT_DECAY,
        momentum=0.8,
        batch_size=6,
        train_size=600,
        n_parameters=4,
    )


def test_a_loader_of_whole_batches_tells_no_sizes(predictor: GrokPredictor) -> None:
    """Its data set holds batches: its length is not a number of samples."""
    whole = DataLoader([torch.zeros(8, 1)] * 50, batch_size=None)
    trainer = pl.Trainer(callbacks=[predictor], max_steps=50, **QUIET)
    trainer.fit(Follows(GOOD), whole)
    configuration = predictor._configuration
    assert (configuration.train_size, configuration.batch_size) == (None, None)
    assert configuration.optimizer == "adamw"


# --------------------------------------------------------------------- what a step is


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("per_epoch", [8, 10])
def test_accumulation_with_a_short_last_window(
    predictor: GrokPredictor, accumulate: int, per_epoch: int
) -> None:
    """A window's micro-batches differ and their mean is the step's loss."""

    class Uneven(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            size = min(accumulate, per_epoch - batch_idx // accumulate * accumulate)
            place = batch_idx % accumulate
            shift = 0.2 * (place - (size - 1) / 2)
            return self.loss_now() * (1 + shift)

    trainer = fit(Uneven(GOOD), predictor, n=per_epoch, accumulate_grad_batches=accumulate)
    assert trainer.global_step == BUDGET
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert sees(predictor, GOOD)


def test_accumulation_that_changes_between_epochs(predictor: GrokPredictor) -> None:
    schedule = pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 3})
    trainer = fit(Follows(GOOD), predictor, schedule, n=30)
    assert trainer.global_step == BUDGET
    assert sees(predictor, GOOD)


class Manual(Follows):
    """Optimises by hand; Lightning then counts the steps of every optimiser."""

    def __init__(self, losses: np.ndarray, n_optimizers: int = 1, every: int = 1) -> None:
        super().__init__(losses)
        self.automatic_optimization = False
        self.n_optimizers, self.every = n_optimizers, every
        self.taken = 0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.losses[self.taken] + 0 * self.weight
        if (batch_idx + 1) % self.every == 0:
            self.taken += 1
            optimizers = self.optimizers()
            for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
                optimizer.zero_grad()
                loss = self.losses[self.taken - 1] + 0 * self.weight
                self.manual_backward(loss)
                optimizer.step()
        return {"loss": loss}

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.AdamW(self.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
            for _ in range(self.n_optimizers)
        ]


def test_manual_optimisation(predictor: GrokPredictor) -> None:
    fit(Manual(GOOD), predictor)
    assert sees(predictor, GOOD)


def test_manual_accumulation(predictor: GrokPredictor) -> None:
    fit(Manual(GOOD, every=4), predictor, n=4 * BUDGET)
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert sees(predictor, GOOD)


def test_two_optimisers_share_one_loss(predictor: GrokPredictor) -> None:
    """Lightning counts two steps a batch, so 800 steps are a budget of 400 losses."""
    trainer = fit(Manual(GOOD, n_optimizers=2), predictor, n=900, max_steps=2 * BUDGET)
    assert trainer.global_step == 2 * BUDGET
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert {verdict.budget for verdict in predictor.verdicts} == {BUDGET}
    assert sees(predictor, GOOD)


def test_optimisers_that_lightning_does_not_count(
    predictor: GrokPredictor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Uncounted(Follows):
        def __init__(self, losses: np.ndarray) -> None:
            super().__init__(losses)
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.weight + 1.0

    monkeypatch.setattr("grokpredict.live.lightning.losses.MOST_MICRO_BATCHES", 50)
    fit(Uncounted(GOOD), predictor, max_epochs=1, max_steps=-1)
    assert "51 batches went by without an optimiser step" in caplog.text
    assert predictor.verdicts == []


@pytest.mark.parametrize("kind", ["tensor", "dict", "vector"])
def test_what_training_step_returns(predictor: GrokPredictor, kind: str) -> None:
    class Returns(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.loss_now()
            return {"tensor": loss, "dict": {"loss": loss, "x": 1}, "vector": loss[None]}[kind]

    fit(Returns(GOOD), predictor)
    assert sees(predictor, GOOD)


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_without_a_loss_since_the_look_before_it_is_skipped(predictor: GrokPredictor) -> None:
    class Skips(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None if batch_idx > 135 else self.loss_now()

    trainer = fit(Skips(DOOMED), predictor)
    assert trainer.global_step == BUDGET
    assert [verdict.probability for verdict in predictor.verdicts] == [None, None]
    assert "65 steps had no 'loss'" in predictor.verdicts[0].reason


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_a_micro_batch_without_a_loss_is_left_out_of_the_mean(predictor: GrokPredictor) -> None:
    class Skips(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None if batch_idx % 2 else self.loss_now()

    fit(Skips(GOOD), predictor, accumulate_grad_batches=2, n=2 * BUDGET)
    assert sees(predictor, GOOD)


def test_loss_key_names_another_loss(classifier: GrokClassifier) -> None:
    """Only ``loss`` is divided by the accumulation; other values keep their graph."""

    class Regularised(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.loss_now()
            return {"loss": loss + 5, "task": loss.expand(3)}

    predictor = GrokPredictor(classifier, loss_key="task")
    fit(Regularised(GOOD), predictor, accumulate_grad_batches=2, n=2 * BUDGET)
    assert sees(predictor, GOOD)


def test_a_loss_that_is_overwritten_in_place(classifier: GrokClassifier) -> None:
    class Overwrites(Manual):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)["loss"].detach()
            self.kept = getattr(self, "kept", torch.zeros(()))
            self.kept.copy_(loss)
            return {"loss": self.kept}

    predictor = GrokPredictor(classifier)
    fit(Overwrites(GOOD), predictor)
    assert sees(predictor, GOOD)


def test_a_wrong_loss_key_stops_nothing_and_says_what_is_there(classifier: GrokClassifier) -> None:
    predictor = GrokPredictor(classifier, loss_key="train_loss")
    trainer = fit(Follows(DOOMED), predictor)
    assert trainer.global_step == BUDGET
    assert "201 steps had no 'train_loss'" in predictor.verdicts[0].reason


@pytest.mark.parametrize(("max_steps", "actions"), [(30, []), (BUDGET, ["continue", "continue"])])
def test_a_loss_that_is_no_number_never_ends_a_run(
    classifier: GrokClassifier, max_steps: int, actions: list[str]
) -> None:
    class Says(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return {"loss": self.loss_now(), "task": "much"}

    predictor = GrokPredictor(classifier, loss_key="task")
    trainer = fit(Says(DOOMED), predictor, max_steps=max_steps)
    assert trainer.global_step == max_steps
    assert [verdict.action for verdict in predictor.verdicts] == actions


def test_bf16_mixed(predictor: GrokPredictor) -> None:
    class Half(Follows):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss_now().bfloat16()

    fit(Half(GOOD), predictor, precision="bf16-mixed")
    rounded = torch.tensor(GOOD, dtype=torch.float32).bfloat16().double().numpy()
    assert sees(predictor, rounded)


def test_a_loss_that_is_nan_stops_nothing(predictor: GrokPredictor) -> None:
    losses = DOOMED.copy()
    losses[30:] = np.nan
    trainer = fit(Follows(losses), predictor)
    assert trainer.global_step == BUDGET
    assert ["look skipped" in verdict.reason for verdict in predictor.verdicts] == [True, True]


# --------------------------------------------------------------------- budget


def test_budget_from_epochs(predictor: GrokPredictor) -> None:
    fit(Follows(GOOD), predictor, n=30, accumulate_grad_batches=4, max_epochs=40, max_steps=-1)
    assert {verdict.budget for verdict in predictor.verdicts} == {40 * 8}
    assert sees(predictor, GOOD, budget=40 * 8)


def test_budget_is_the_earlier_of_steps_and_epochs(predictor: GrokPredictor) -> None:
    fit(Follows(GOOD), predictor, n=10, max_epochs=22, max_steps=10_000)
    assert {verdict.budget for verdict in predictor.verdicts} == {220}


def test_budget_that_the_user_gives(classifier: GrokClassifier) -> None:
    predictor = GrokPredictor(classifier, budget=300)
    fit(Follows(GOOD), predictor)
    assert {verdict.budget for verdict in predictor.verdicts} == {300}


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Any:
        return iter(torch.zeros(320, 1))


def test_unknown_length_stops_nothing(
    predictor: GrokPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = pl.Trainer(callbacks=[predictor], max_epochs=1, **QUIET)
    trainer.fit(Follows(DOOMED), DataLoader(Stream()))
    assert trainer.global_step == 320
    assert predictor.verdicts == []
    assert "is not known, so nothing is stopped; give Trainer(max_steps=...)" in caplog.text


def test_unknown_length_with_max_steps(predictor: GrokPredictor) -> None:
    trainer = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    trainer.fit(Follows(DOOMED), DataLoader(Stream()))
    assert predictor.stopped_step == 201


def test_max_time_alone_stops_nothing(predictor: GrokPredictor) -> None:
    long = np.resize(DOOMED, 10**5)
    trainer = fit(Follows(long), predictor, max_steps=-1, max_time={"seconds": 1})
    assert trainer.global_step > 40
    assert predictor.verdicts == []
    assert "is not known" in predictor.summary()


def test_a_fit_that_ends_before_the_first_horizon(predictor: GrokPredictor) -> None:
    fit(Follows(DOOMED), predictor, max_steps=200)
    assert predictor.verdicts == []
    assert "The first look is after 200 steps" in predictor.summary()


# --------------------------------------------------------------------- min_steps, validation


def test_the_stop_waits_for_min_steps(
    predictor: GrokPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = fit(Follows(DOOMED), predictor, n=20, min_steps=220)
    assert trainer.global_step == predictor.stopped_step == 220
    assert "goes on until min_steps and min_epochs are met" in caplog.text
    assert "Training will continue" not in caplog.text


def test_the_stop_waits_for_min_epochs(predictor: GrokPredictor) -> None:
    trainer = fit(Follows(DOOMED), predictor, n=70, min_epochs=3)
    # The first batch of the fourth epoch is the first after which Lightning may stop.
    assert trainer.global_step == predictor.stopped_step == 211


class Validated(Follows):
    """Logs a validation accuracy that is reached at ``step``."""

    name = "val/accuracy"

    def __init__(self, losses: np.ndarray, step: int = 0) -> None:
        super().__init__(losses)
        self.step = step
        self.n_validations = 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.n_validations += 1
        self.log(self.name, 0.99 if self.trainer.global_step >= self.step else 0.1)


def fit_validated(module: Validated, *callbacks: Any, **options: Any) -> pl.Trainer:
    options = {**QUIET, "max_steps": BUDGET, "val_check_interval": 10, **options}
    trainer = pl.Trainer(callbacks=list(callbacks), **options)
    trainer.fit(module, batches(), batches(1))
    return trainer


def test_validation_in_mid_epoch_changes_nothing(predictor: GrokPredictor) -> None:
    trainer = fit_validated(Validated(DOOMED, step=10**6), predictor)
    assert trainer.global_step == 201
    assert sees(predictor, DOOMED)


def test_a_run_that_has_generalised_is_left_alone(predictor: GrokPredictor) -> None:
    trainer = fit_validated(Validated(DOOMED, step=190), predictor)
    assert trainer.global_step == BUDGET
    assert "val_acc = 0.99" in predictor.verdicts[0].reason


def test_a_run_that_generalises_while_the_stop_waits(predictor: GrokPredictor) -> None:
    trainer = fit_validated(Validated(DOOMED, step=230), predictor, min_steps=250, min_epochs=0)
    assert trainer.global_step == BUDGET
    assert predictor.stopped_step is None
    assert predictor.stopping_reason is StoppingReason.NOT_STOPPED


def test_val_metric_names_the_metric(classifier: GrokClassifier) -> None:
    class Own(Validated):
        name = "heldout"

    assert fit_validated(Own(DOOMED), GrokPredictor(classifier)).global_step == 201
    named = GrokPredictor(classifier, val_metric="heldout")
    assert fit_validated(Own(DOOMED), named).global_step == BUDGET


# --------------------------------------------------------------------- beside other things


def test_sanity_check_feeds_nothing(predictor: GrokPredictor) -> None:
    module = Validated(DOOMED)
    fit_validated(module, predictor, num_sanity_val_steps=2, val_check_interval=400)
    assert module.n_validations > 0
    # The sanity check's accuracy of 0.99 is not this run's.
    assert predictor.stopped_step == 201


@pytest.mark.parametrize("fast", [True, 60])
def test_fast_dev_run_neither_feeds_nor_trips(
    predictor: GrokPredictor, fast: int, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**QUIET, "fast_dev_run": fast}
    trainer = pl.Trainer(callbacks=[predictor], **options)
    trainer.fit(Follows(DOOMED), batches())
    assert trainer.global_step == int(fast)
    assert predictor.verdicts == []
    levels = [record.levelno for record in caplog.records if "grokpredict" in record.name]
    assert set(levels) <= {logging.INFO}


def test_each_fit_starts_anew(predictor: GrokPredictor) -> None:
    fit(Follows(DOOMED), predictor)
    fit(Follows(GOOD), predictor)
    assert [verdict.action for verdict in predictor.verdicts] == ["continue", "continue"]
    assert predictor.stopped_step is None
    fit(Follows(DOOMED), predictor)
    assert predictor.stopped_step == 201


def test_a_fit_that_goes_on_without_its_start_is_left_alone(predictor: GrokPredictor) -> None:
    module = Follows(DOOMED)
    trainer = fit(module, predictor, max_steps=30)
    trainer.fit_loop.epoch_loop.max_steps = BUDGET
    trainer.fit(module, batches())
    assert trainer.global_step == BUDGET
    assert predictor.verdicts == []
    assert "goes on from step 30" in predictor.summary()


def test_fit_validate_test_in_turn(predictor: GrokPredictor, tmp_path: Path) -> None:
    class Tested(Validated):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("test_acc", 0.1)

    module = Tested(DOOMED, step=10**6)
    trainer = fit_validated(module, predictor)
    checkpoint = tmp_path / "a.ckpt"
    trainer.save_checkpoint(checkpoint)
    before = (predictor.verdicts, predictor.stopped_step, predictor.summary())
    trainer.validate(module, batches(1), ckpt_path=checkpoint, verbose=False)
    trainer.test(module, batches(1), ckpt_path=checkpoint, verbose=False)
    assert (predictor.verdicts, predictor.stopped_step, predictor.summary()) == before


def test_two_predictors_in_one_trainer(classifier: GrokClassifier, tmp_path: Path) -> None:
    careful = GrokPredictor(classifier, max_false_abort=0.04)
    loud = GrokPredictor(classifier, action="warn", val_metric="other")
    assert careful.state_key != loud.state_key
    logger = pl.loggers.CSVLogger(tmp_path)
    trainer = fit(Follows(DOOMED), loud, careful, max_steps=BUDGET, logger=logger)
    # Too few calibration runs for 0.04: that one never aborts.
    assert [verdict.action for verdict in loud.verdicts] == ["abort", "abort"]
    assert trainer.global_step == (201 if careful.stopped_step else BUDGET)
    assert Path(logger.log_dir, "grokpredict.json").exists()
    assert Path(logger.log_dir, "grokpredict-2.json").exists()
    state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)["callbacks"]
    assert {careful.state_key, loud.state_key} <= set(state)


def test_early_stopping_and_model_checkpoint_beside_it(
    predictor: GrokPredictor, tmp_path: Path
) -> None:
    stopping = pl.callbacks.EarlyStopping("val/accuracy", mode="max", patience=1000)
    saving = pl.callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=80, save_top_k=-1)
    trainer = fit_validated(
        Validated(DOOMED, step=10**6), predictor, stopping, saving, enable_checkpointing=True
    )
    assert trainer.global_step == predictor.stopped_step == 201
    assert len(list(tmp_path.glob("*.ckpt"))) == 2
    assert sees(predictor, DOOMED)


# --------------------------------------------------------------------- what the user sees


def test_record_beside_the_logs(predictor: GrokPredictor, tmp_path: Path) -> None:
    logger = pl.loggers.CSVLogger(tmp_path)
    fit(Follows(DOOMED), predictor, logger=logger)
    record = json.loads(Path(logger.log_dir, "grokpredict.json").read_text())
    assert record["stopped_step"] == 201
    assert record["budget"] == BUDGET
    assert record["verdicts"][0]["probability"] == predictor.verdicts[0].probability
    assert record["configuration"]["learning_rate"] == LR
    assert not list(Path(logger.log_dir).glob("*.tmp"))


def test_nothing_is_written_when_nothing_happened(
    predictor: GrokPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(Follows(DOOMED), predictor)
    fit(Follows(DOOMED), predictor, max_steps=30, logger=pl.loggers.CSVLogger(tmp_path))
    assert list(tmp_path.rglob("grokpredict*")) == []


# --------------------------------------------------------------------- failures


def test_a_failure_of_ours_never_ends_a_run(
    predictor: GrokPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Follows):
        def on_train_batch_end(self, *args: Any) -> None:
            if self.trainer.global_step == 20:
                self.trainer.callback_metrics["val_acc"] = "much"

    trainer = fit(Odd(DOOMED), predictor)
    assert trainer.global_step == BUDGET
    records = [
        record for record in caplog.records if "leaves this run alone" in record.getMessage()
    ]
    assert len(records) == 1
    assert "ValueError" in records[0].getMessage()


def test_a_configuration_that_cannot_be_read_is_left_out(predictor: GrokPredictor) -> None:
    class First(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, *args: Any) -> None:
            trainer.optimizers[0].param_groups[0]["momentum"] = "much"

    trainer = fit(Follows(GOOD), First(), predictor)
    assert trainer.global_step == BUDGET
    assert sees(predictor, GOOD)
    configuration = predictor._configuration
    assert (configuration.momentum, configuration.learning_rate) == (None, LR)


class Nowhere(pl.loggers.logger.DummyLogger):
    """Its folder has a name that no system takes, which is no ``OSError``."""

    @property
    def save_dir(self) -> str:
        return "no\0where"


def test_a_record_that_cannot_be_written_does_not_end_the_looks(
    predictor: GrokPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    """The first process alone writes: if it gave up, the others would wait at the horizon."""
    fit(Follows(GOOD), predictor, logger=Nowhere())
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert "grokpredict: could not write" in caplog.text
    assert "leaves this run alone" not in caplog.text


def test_a_broken_logger_does_not_stop_the_verdict(
    predictor: GrokPredictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Offline(pl.loggers.CSVLogger):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if "grokpredict/probability" in metrics:
                raise ConnectionError("no route to host")
            super().log_metrics(metrics, step)

    fit(Follows(DOOMED), predictor, logger=Offline(tmp_path))
    assert predictor.stopped_step == 201
    assert "a logger failed: ConnectionError: no route to host" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "kill"}, "action must be 'stop', 'warn' or 'checkpoint', got 'kill'"),
        ({"budget": 0}, "the budget must be at least 1 step, got 0"),
        ({"max_false_abort": 0}, "max_false_abort must be a share between 0 and 1, got 0"),
    ],
)
def test_arguments_out_of_range(
    classifier: GrokClassifier, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GrokPredictor(classifier, **options)


def test_a_missing_classifier_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.npz"):
        GrokPredictor(tmp_path / "nowhere.npz")
