"""The adapters against the real libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import DOOMED, GOOD, LIGHTNING_WARNINGS, QUIET, Follows, batches, fit
from short_runs import BUDGET, LR, WEIGHT_DECAY

from grokpredict.live.lightning import GrokPredictor
from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.optuna import GrokPruner, prune_if_stopped
from grokpredict.model.classifier import GrokClassifier

#: The data of a resumed run here are not what the loss depends on.
RESUMED = "ignore:You're resuming from a checkpoint"
pytestmark = [pytest.mark.filterwarnings(text) for text in (*LIGHTNING_WARNINGS, RESUMED)]

ROOT = Path(__file__).parent.parent


# --------------------------------------------------------------------- Optuna


@pytest.fixture(autouse=True)
def quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_with(pruner: optuna.pruners.BasePruner, losses: Any, every: int = 1) -> optuna.Study:
    """One trial that reports a loss at each step and asks at each ``every``-th."""

    def objective(trial: optuna.Trial) -> float:
        for step, loss in enumerate(losses[:300]):
            trial.report(float(loss), step)
            if (step + 1) % every == 0 and trial.should_prune():
                raise optuna.TrialPruned(str(step))
        return 0.0

    study = optuna.create_study(pruner=pruner)
    study.optimize(objective, n_trials=1)
    return study


@pytest.mark.parametrize("every", [1, 25])
def test_optuna_pruner_prunes_a_doomed_trial_only(classifier: GrokClassifier, every: int) -> None:
    pruner = GrokPruner(classifier, budget=BUDGET)
    good = study_with(pruner, GOOD, every).trials[0]
    assert good.state is optuna.trial.TrialState.COMPLETE
    pruner = GrokPruner(classifier, budget=BUDGET)
    doomed = study_with(pruner, DOOMED, every).trials[0]
    assert doomed.state is optuna.trial.TrialState.PRUNED
    assert doomed.last_step == (200 if every == 1 else 224)
    monitor = GrokMonitor(classifier, budget=BUDGET)
    monitor.extend(DOOMED[:225])
    (found,) = pruner._feeds.monitors.values()
    assert found.verdicts == monitor.verdicts


def reported(classifier: GrokClassifier, steps: Any) -> optuna.trial.FrozenTrial:
    def objective(trial: optuna.Trial) -> float:
        for step in steps:
            trial.report(float(DOOMED[step]), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 0.0

    study = optuna.create_study(pruner=GrokPruner(classifier, budget=BUDGET))
    study.optimize(objective, n_trials=1)
    return study.trials[0]


def test_optuna_pruner_at_any_cadence(classifier: GrokClassifier) -> None:
    for steps in (range(9, 300, 10), [*range(20), *range(21, 300)], (4, 9, 29, 60, 120, 180, 240)):
        trial = reported(classifier, steps)
        assert trial.state is optuna.trial.TrialState.PRUNED
        assert trial.last_step == next(step for step in steps if step >= 200)


def test_optuna_pruner_leaves_a_run_without_its_start_alone(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    trial = reported(classifier, range(10, 300))
    assert trial.state is optuna.trial.TrialState.COMPLETE
    assert "has no loss of the steps before step 11" in caplog.text
    assert "it is left alone" in caplog.text


def test_optuna_pruner_serves_two_studies(classifier: GrokClassifier) -> None:
    """Both have a trial 0, and only the first study's is doomed."""
    pruner = GrokPruner(classifier, budget=BUDGET)
    assert study_with(pruner, DOOMED).trials[0].state is optuna.trial.TrialState.PRUNED
    assert study_with(pruner, GOOD).trials[0].state is optuna.trial.TrialState.COMPLETE


def test_optuna_pruner_survives_a_fault_of_ours(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails in here is said once, and the study goes on, though the log fails too."""

    def broken(*args: Any) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(GrokMonitor, "update", broken)
    trial = study_with(GrokPruner(classifier, budget=BUDGET), DOOMED).trials[0]
    assert trial.state is optuna.trial.TrialState.COMPLETE
    assert caplog.text.count("MemoryError: none left; the trial is left alone") == 1
    monkeypatch.setattr("grokpredict.live.optuna.log.handle", broken)
    trial = study_with(GrokPruner(classifier, budget=BUDGET), DOOMED).trials[0]
    assert trial.state is optuna.trial.TrialState.COMPLETE


def test_a_stopped_fit_is_a_pruned_trial(classifier: GrokClassifier) -> None:
    def objective(trial: optuna.Trial) -> float:
        predictor = GrokPredictor(classifier)
        fit(Follows(GOOD if trial.number else DOOMED), predictor)
        prune_if_stopped(predictor)
        return 0.0

    study = optuna.create_study()
    study.optimize(objective, n_trials=2)
    states = [trial.state for trial in study.trials]
    assert states == [optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.COMPLETE]


def test_a_stopped_fit_that_was_resumed_to_its_end_is_not_pruned(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    stopped, resumed = GrokPredictor(classifier), GrokPredictor(classifier)
    fit(Follows(DOOMED), stopped).save_checkpoint(tmp_path / "stopped.ckpt")
    with pytest.raises(optuna.TrialPruned, match="stopped at step 201"):
        prune_if_stopped(stopped)
    trainer = pl.Trainer(callbacks=[resumed], max_steps=300, **QUIET)
    trainer.fit(Follows(DOOMED), batches(), ckpt_path=tmp_path / "stopped.ckpt", **WEIGHTS_ONLY)
    assert trainer.global_step == 300
    prune_if_stopped(resumed)


# --------------------------------------------------------------------- Ray Tune


def test_ray_stopper_asked_by_hand(classifier: GrokClassifier) -> None:
    pytest.importorskip("ray.tune", exc_type=ImportError)
    from grokpredict.live.ray import GrokStopper

    stopper = GrokStopper(classifier, budget=BUDGET)

    def stops(trial: str, losses: Any, **more: float) -> list[int]:
        results = ({"loss": loss, **more} for loss in losses[:300])
        return [step for step, own in enumerate(results, start=1) if stopper(trial, own)]

    assert stops("doomed", DOOMED) == [201]
    assert stops("good", GOOD) == []
    assert stops("generalised", DOOMED, val_acc=0.99) == []
    assert stops("percent", DOOMED, val_acc=0.99, train_acc=40.0) == [201]
    assert stopper.stop_all() is False


def test_ray_stopper_goes_by_the_iteration(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("ray.tune", exc_type=ImportError)
    from grokpredict.live.ray import GrokStopper

    stopper = GrokStopper(classifier, budget=BUDGET)

    def stops(trial: str, iterations: Any, losses: Any = DOOMED) -> list[int]:
        results = ((n, {"loss": losses[n - 1], "training_iteration": n}) for n in iterations)
        return [n for n, result in results if stopper(trial, result)]

    # Restored from a checkpoint at 20: what is reported again counts once.
    assert stops("restored", [*range(1, 31), *range(21, 301)]) == [201]
    assert "has no loss" not in caplog.text
    # Restored in a new process, which has not seen the start: it is not judged.
    assert stops("late", range(21, 301)) == []
    assert "has no loss of the steps before step 21" in caplog.text
    assert stopper.monitors["late"].verdicts == []
    # Set back, and other losses than before: two runs, and none of them is judged.
    assert stops("other", range(1, 31), GOOD) == stops("other", range(1, 301)) == []
    assert "was set back to step 1" in caplog.text


def test_ray_stopper_leaves_a_result_without_a_loss_alone(
    classifier: GrokClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("ray.tune", exc_type=ImportError)
    from grokpredict.live.ray import GrokStopper

    stopper = GrokStopper(classifier, budget=BUDGET)
    for _ in range(3):
        assert stopper("other", {"accuracy": 1.0}) is False
        assert stopper("odd", {"loss": "much"}) is False
    assert caplog.text.count("must hold the training loss as 'loss', there are 'accuracy'") == 1
    assert caplog.text.count("the trial is left alone") == 1


@pytest.mark.filterwarnings("ignore")
def test_ray_tune_stops_the_doomed_trial(classifier: GrokClassifier, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", exc_type=ImportError)
    tune = pytest.importorskip("ray.tune", exc_type=ImportError)
    from grokpredict.live.ray import GrokStopper

    def train(config: dict[str, Any]) -> None:
        for loss in config["losses"]:
            tune.report({"loss": loss})

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        tuner = tune.Tuner(
            train,
            param_space={"losses": tune.grid_search([DOOMED[:210].tolist(), GOOD[:210].tolist()])},
            run_config=tune.RunConfig(
                stop=GrokStopper(classifier, budget=BUDGET), storage_path=str(tmp_path), verbose=0
            ),
        )
        steps = [result.metrics["training_iteration"] for result in tuner.fit()]
    finally:
        ray.shutdown()
    assert steps == [201, 210]


# --------------------------------------------------------------------- Hugging Face


def hugging_face(classifier: Any, losses: Any, folder: Path, **options: Any) -> tuple[Any, Any]:
    """Train a real ``transformers.Trainer`` on a loss that follows a curve."""
    transformers = pytest.importorskip("transformers")
    from grokpredict.live.huggingface import GrokPredictorCallback

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.register_buffer("curve", torch.tensor(losses, dtype=torch.float32))

        def forward(self, x: torch.Tensor, labels: Any = None) -> dict[str, torch.Tensor]:
            loss = self.curve[x.reshape(-1).long()].mean() * (1 + 0 * self.weight)
            return {"loss": loss, "logits": x.reshape(-1, 1)}

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *args: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **options: Any) -> Any:
            if twice:
                self.log({"loss": 77.0})
            return super().compute_loss(*args, **options)

    stop_at = options.pop("resume_from", None)
    accuracies = iter(options.pop("val_accuracies", ()))
    metric, twice = options.pop("metric", "accuracy"), options.pop("twice", False)
    callback, after = GrokPredictorCallback(classifier), options.pop("after", [])
    arguments = {
        "max_steps": BUDGET,
        "logging_steps": 1,
        "per_device_train_batch_size": 1,
        "learning_rate": LR,
        "weight_decay": WEIGHT_DECAY,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "use_cpu": True,
        "dataloader_pin_memory": False,
        **options,
    }
    trainer = InOrder(
        model=Model(),
        args=transformers.TrainingArguments(str(folder), **arguments),
        train_dataset=[{"x": torch.tensor(float(n))} for n in range(BUDGET)],
        eval_dataset=[{"x": torch.tensor(0.0), "labels": torch.tensor(0.0)}],
        compute_metrics=lambda _: {metric: next(accuracies)},
        callbacks=[callback, *after],
    )
    trainer.train(resume_from_checkpoint=stop_at)
    return callback, trainer


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_stops_a_doomed_run_only(classifier: GrokClassifier, tmp_path: Path) -> None:
    callback, trainer = hugging_face(classifier, DOOMED, tmp_path)
    assert trainer.state.global_step == callback.stopped_step == 201
    callback, trainer = hugging_face(classifier, GOOD, tmp_path)
    assert trainer.state.global_step == BUDGET


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_resumes_in_the_window(classifier: GrokClassifier, tmp_path: Path) -> None:
    whole, _ = hugging_face(classifier, GOOD, tmp_path / "a", save_strategy="steps", save_steps=190)
    resumed, _ = hugging_face(
        classifier, GOOD, tmp_path / "b", resume_from=str(tmp_path / "a" / "checkpoint-190")
    )
    assert [verdict.horizon for verdict in whole.verdicts] == [200, 282]
    assert resumed.verdicts == whole.verdicts


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_knows_percentages_by_one_above_one(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    """Guessing among 97 classes, validated alone: 1.03 %, then 0.97 %; also after a resume."""
    options = {"eval_strategy": "steps", "eval_steps": 30, "save_strategy": "steps"}
    callback, trainer = hugging_face(
        classifier,
        DOOMED,
        tmp_path / "a",
        val_accuracies=[1.03] + 5 * [0.97],
        save_steps=90,
        **options,
    )
    assert trainer.state.global_step == callback.stopped_step == 201
    resumed, trainer = hugging_face(
        classifier,
        DOOMED,
        tmp_path / "b",
        val_accuracies=3 * [0.97],
        resume_from=str(tmp_path / "a" / "checkpoint-90"),
        **options,
    )
    assert trainer.state.global_step == resumed.stopped_step == 201
    _, trainer = hugging_face(
        classifier, DOOMED, tmp_path / "c", val_accuracies=[0.97] * 30, **options
    )
    assert trainer.state.global_step == BUDGET


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("every", "end"), [(3, 201), (20, 220)])
def test_hugging_face_at_any_cadence(
    classifier: GrokClassifier, tmp_path: Path, every: int, end: int
) -> None:
    """The loss is the mean of the steps since the last; also with the first step's logged."""
    callback, trainer = hugging_face(
        classifier, DOOMED, tmp_path, logging_steps=every, logging_first_step=True
    )
    assert trainer.state.global_step == callback.stopped_step == end
    assert [own.horizon for own in callback.verdicts] == [200]


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_reads_what_is_evaluated(classifier: GrokClassifier, tmp_path: Path) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 25, "max_steps": 290}
    callback, _ = hugging_face(classifier, GOOD, tmp_path, val_accuracies=[0.5] * 20, **options)
    reads = [own.reads for own in callback.verdicts]
    assert reads == [("train_loss", "val_loss", "val_acc", "spectrum")] * 2
    assert [own.every for own in callback.verdicts] == [25, 26]


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_logs_its_looks_to_the_callbacks_after_it(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    integrations = pytest.importorskip("transformers.integrations")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    board = integrations.TensorBoardCallback(tb_writer=SummaryWriter(tmp_path / "board"))
    callback, _ = hugging_face(classifier, DOOMED, tmp_path, after=[board])
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    found = {
        name: {event.step: event.value for event in events.Scalars(f"train/grokpredict/{name}")}
        for name in ("probability", "threshold", "verdict", "stopped")
    }
    (look,) = callback.verdicts
    assert found == {
        "probability": {201: pytest.approx(look.probability)},
        "threshold": {201: pytest.approx(look.threshold)},
        "verdict": {201: -1},
        "stopped": {201: 1},
    }


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_knows_a_diverged_run(classifier: GrokClassifier, tmp_path: Path) -> None:
    """Its loss is filtered to 0; the norm of the gradient tells."""
    diverged = DOOMED.copy()
    diverged[130:] = np.nan
    callback, trainer = hugging_face(classifier, diverged, tmp_path)
    assert trainer.state.log_history[135]["loss"] == 0
    assert trainer.state.global_step == BUDGET
    assert ["look skipped" in own.reason for own in callback.verdicts] == [True, True]


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_says_once_that_no_metric_is_known(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 15, "metric": "f1", "max_steps": 60}
    hugging_face(classifier, GOOD, tmp_path, val_accuracies=[0.5] * 9, **options)
    assert caplog.text.count("the validation logs no metric known as val_acc") == 1
    assert "'eval_f1'" in caplog.text


# --------------------------------------------------------------------- plain loop, missing ones


def test_plain_loop_needs_no_torch() -> None:
    program = "import sys, grokpredict.live.monitor; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=400)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("optuna", "optuna", "optuna"),
        ("ray", "ray", "ray"),
        ("huggingface", "transformers", "transformers"),
    ],
)
def test_a_missing_library_is_named_with_what_mends_it(
    module: str, library: str, extra: str
) -> None:
    program = f"import sys; sys.modules[{library!r}] = None\nimport grokpredict.live.{module}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: grokpredict.live")
    assert f'pip install "grokpredict[{extra}]"' in last


def test_the_monitor_and_the_callback_agree(classifier: GrokClassifier) -> None:
    """A plain loop decides as Lightning does on the same losses."""
    predictor = GrokPredictor(classifier)
    fit(Follows(GOOD), predictor)
    monitor = GrokMonitor(classifier, budget=BUDGET)
    for loss in GOOD:
        monitor.update(loss)
    assert len(monitor.verdicts) == 2
    for ours, theirs in zip(monitor.verdicts, predictor.verdicts, strict=True):
        assert (ours.probability, ours.horizon) == (theirs.probability, theirs.horizon)
