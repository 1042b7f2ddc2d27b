"""The ledger behind the monitor and the adapters: real trainers, real processes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ledger_writers import with_good_runs
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import DOOMED, GOOD, LIGHTNING_WARNINGS, QUIET, Follows, batches, fit
from short_runs import BUDGET

from grokpredict import GrokMonitor, SweepLedger, audit
from grokpredict.live.entry import Entry
from grokpredict.live.lightning import GrokPredictor, StoppingReason
from grokpredict.live.optuna import estimate_if_stopped
from grokpredict.model.classifier import GrokClassifier

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]
#: The data here are not what the loss depends on.
pytestmark.append(pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"))

ROOT = Path(__file__).parent.parent

#: Runs of these names are audited, and are not.
AUDITED, OTHER = "run 21", "run 22"
READS = ("train_loss", "weight_norm", "spectrum")


def entry_of(ledger: SweepLedger, name: str | None = None) -> Entry:
    found = [e for e in ledger.read().entries if not e.name.startswith("before")]
    (entry,) = (e for e in found if name in (None, e.name))
    return entry


class Validated(Follows):
    """Is validated every 20 steps, and generalises after 280 if it is to."""

    def __init__(
        self, losses: np.ndarray, *, good: bool, lr: float = 0.1, odd: object = None
    ) -> None:
        super().__init__(losses)
        self.save_hyperparameters("lr", "good", "odd")
        self.good = good

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        done = self.good and self.trainer.global_step >= 280
        self.log("val_acc", torch.tensor(0.99 if done else 0.1))

    def val_dataloader(self) -> Any:
        return batches(1)


# ---------------------------------------------------------------- Lightning


def test_a_run_is_warned_of_until_enough_have_finished(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = GrokPredictor(classifier, ledger=tmp_path / "sweep")
    trainer = fit(Follows(DOOMED), predictor)
    assert trainer.global_step == BUDGET
    assert predictor.stopping_reason is StoppingReason.NOT_STOPPED
    assert [verdict.spared is None for verdict in predictor.verdicts] == [False, False]
    said = [r for r in caplog.records if "until 19 good configurations" in r.getMessage()]
    assert [record.levelno for record in said] == [logging.WARNING] * 2
    entry = entry_of(SweepLedger(tmp_path / "sweep"))
    # Without a validation nobody knows what became of it.
    assert (entry.end, entry.last_step, entry.reads) == ("ended early", BUDGET, READS)
    assert entry.configuration["learning_rate"] == 1e-3


def test_a_doomed_run_is_stopped_by_the_threshold_of_its_sweep(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    ledger = with_good_runs(tmp_path, READS)
    predictor = GrokPredictor(classifier, ledger=ledger, name=OTHER)
    trainer = fit(Follows(DOOMED), predictor)
    assert trainer.global_step == predictor.stopped_step == 201
    assert predictor.verdicts[0].threshold == pytest.approx(0.3)
    assert (entry_of(ledger).end, entry_of(ledger).stops) == ("stopped", True)
    assert audit(ledger).total.saved == BUDGET - 200


def test_an_audited_run_goes_on_also_after_a_resume(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    ledger = with_good_runs(tmp_path / "sweep", READS)
    first = GrokPredictor(classifier, ledger=ledger, name=AUDITED, budget=BUDGET)
    trainer = fit(Follows(DOOMED), first, max_steps=210, default_root_dir=tmp_path)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert trainer.global_step == 210
    # A resumed run keeps its name, and its place in the ledger, whatever it is called now.
    second = GrokPredictor(classifier, ledger=ledger, budget=BUDGET)
    again = pl.Trainer(callbacks=[second], **{**QUIET, "max_steps": 290})
    again.fit(Follows(DOOMED), batches(), ckpt_path=tmp_path / "a.ckpt", **WEIGHTS_ONLY)
    assert again.global_step == 290
    entry = entry_of(ledger)
    assert (entry.name, entry.audited, entry.last_step) == (AUDITED, True, 290)
    assert [look.step for look in entry.looks] == [200, 282]
    assert len(ledger.read().entries) == 20


def test_outcomes_are_those_of_the_validations(classifier: GrokClassifier, tmp_path: Path) -> None:
    ledger = SweepLedger(tmp_path)
    options = {"val_check_interval": 20, "check_val_every_n_epoch": None}
    for name, losses, good in (("good", GOOD, True), ("doomed", DOOMED, False)):
        predictor = GrokPredictor(classifier, ledger=ledger, name=name)
        fit(Validated(losses, good=good, odd=object), predictor, **options)
    good, doomed = entry_of(ledger, "good"), entry_of(ledger, "doomed")
    assert (good.end, good.t4, good.last_step) == ("generalised", 280, BUDGET)
    assert (doomed.end, doomed.t4) == ("not by budget", None)
    assert "val_acc" in good.reads
    assert {"lr": 0.1, "good": True}.items() <= good.configuration.items()
    assert "odd" not in good.configuration
    figures = audit(ledger).total
    assert (figures.good, figures.doomed) == (1, 1)


def test_a_warning_only_is_known_to_the_ledger(classifier: GrokClassifier, tmp_path: Path) -> None:
    ledger = with_good_runs(tmp_path, READS)
    options = {"budget": BUDGET, "ledger": ledger, "name": OTHER}
    predictor = GrokPredictor(classifier, action="warn", **options)
    assert fit(Follows(DOOMED), predictor, max_steps=210).global_step == 210
    assert predictor.verdicts[0].spared == "action is 'warn'"
    assert (entry_of(ledger).stops, entry_of(ledger).calibrated) == (False, True)


def test_a_checkpoint_is_saved_before_a_run_is_stopped(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = GrokPredictor(classifier, action="checkpoint")
    fit(Follows(DOOMED), predictor, default_root_dir=tmp_path)
    path = tmp_path / "grokpredict-step=201.ckpt"
    assert predictor.stopped_step == 201
    # What an objective may return in place of what the run would have reached.
    assert estimate_if_stopped(predictor) == predictor.verdicts[-1].probability
    assert f"To overrule it: trainer.fit(model, ckpt_path={str(path)!r})" in caplog.text
    # As it says: the run goes on from there, to its end.
    again = GrokPredictor(classifier, action="checkpoint")
    trainer = pl.Trainer(callbacks=[again], **{**QUIET, "max_steps": 210})
    trainer.fit(Follows(DOOMED), batches(), ckpt_path=path, **WEIGHTS_ONLY)
    assert trainer.global_step == 210
    assert "was stopped at step 201 before and now goes on unwatched" in again.summary()
    assert estimate_if_stopped(again) is None


def test_without_its_checkpoint_a_run_is_not_stopped(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    predictor = GrokPredictor(classifier, action="checkpoint", budget=BUDGET)
    options = {"default_root_dir": tmp_path / "file", "max_steps": 210}
    trainer = fit(Follows(DOOMED), predictor, **options)
    assert (trainer.global_step, predictor.stopped_step) == (210, None)
    assert "not stopped: the checkpoint cannot be saved" in caplog.text


# ---------------------------------------------------------------- other loops


def trained(ledger: SweepLedger, classifier: GrokClassifier, losses: Any, **options: Any) -> Any:
    monitor = GrokMonitor(classifier, budget=BUDGET, ledger=ledger, **options)
    for step, loss in enumerate(losses[:BUDGET], start=1):
        verdict = monitor.update(float(loss))
        if verdict is not None and verdict.action == "abort":
            break
        if step % 20 == 0:
            monitor.saw_evaluation(None, 99.0 if step >= 300 else 9.0)
    monitor.finish()
    return monitor


def test_a_monitor_of_a_plain_loop(classifier: GrokClassifier, tmp_path: Path) -> None:
    """Its accuracies are percentages; without a name it has a random one, which a state keeps."""
    ledger = SweepLedger(tmp_path)
    monitor = trained(ledger, classifier, GOOD, hparams={"lr": 1, "seed": 3})
    entry = entry_of(ledger)
    assert (entry.end, entry.t4) == ("generalised", 300)
    assert entry.configuration == {"lr": 1, "seed": 3}
    assert [look.step for look in entry.looks] == [200, 282]
    other = GrokMonitor(classifier, budget=BUDGET, ledger=ledger)
    other.load_state_dict(monitor.state_dict())
    other.finish()
    assert [found.name for found in ledger.read().entries] == [entry.name]


def test_without_a_ledger_nothing_changes(classifier: GrokClassifier, tmp_path: Path) -> None:
    alone = GrokMonitor(classifier, budget=BUDGET)
    beside = GrokMonitor(classifier, budget=BUDGET, ledger=tmp_path, only_warns="a test")
    for losses in (GOOD, DOOMED):
        alone.extend(losses)
        beside.extend(losses)
    assert [v.probability for v in alone.verdicts] == [v.probability for v in beside.verdicts]
    assert alone.state_dict()["ledger"] is None
    alone.finish()
    assert len(list(tmp_path.iterdir())) == 1


def test_ray_stopper_keeps_a_ledger(classifier: GrokClassifier, tmp_path: Path) -> None:
    pytest.importorskip("ray.tune", exc_type=ImportError)
    from grokpredict.live.ray import GrokStopper

    ledger = with_good_runs(tmp_path, ("train_loss", "val_acc", "spectrum"))
    stopper = GrokStopper(classifier, budget=BUDGET, ledger=ledger)

    def steps_of(trial: str, losses: Any, good: bool) -> int:
        for step in range(1, BUDGET + 1):
            accuracy = {"val_acc": float(good and step >= 300)} if step % 20 == 0 else {}
            result = {"loss": losses[step - 1], "config": {"lr": 0.5}, **accuracy}
            if stopper(trial, result):
                return step
        return BUDGET

    assert [steps_of("good", GOOD, True), steps_of(AUDITED, DOOMED, False)] == [BUDGET] * 2
    assert steps_of(OTHER, DOOMED, False) == 201
    ends = {name: entry_of(ledger, name).end for name in ("good", AUDITED, OTHER)}
    assert ends == {"good": "generalised", AUDITED: "not by budget", OTHER: "stopped"}
    assert entry_of(ledger, OTHER).configuration == {"lr": 0.5}
