"""What a fit under watch leaves in the loggers that people look at while it trains."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning_namespace import pl
from lightning_runs import DOOMED, GOOD, LIGHTNING_WARNINGS, Follows, batches, fit
from short_runs import BUDGET

from grokpredict.live.lightning import GrokPredictor
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.verdict import Verdict

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]

#: Value of each metric at each step of a log.
Logged = dict[str, dict[int, float]]


class Validated(Follows):
    """Logs its loss now and then, and one validation accuracy for good."""

    def __init__(self, losses: Any, accuracy: float) -> None:
        super().__init__(losses)
        self.accuracy = accuracy

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_now()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_acc", self.accuracy)


def train(
    predictor: GrokPredictor, logger: Any, losses: Any = DOOMED, accuracy: float = 0.1
) -> None:
    trainer = pl.Trainer(
        callbacks=[predictor],
        logger=logger,
        max_steps=BUDGET,
        log_every_n_steps=50,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        val_check_interval=25,
    )
    trainer.fit(Validated(losses, accuracy), batches(), batches(1))
    for each in trainer.loggers:
        each.finalize("success")


def csv_log(folder: Path) -> tuple[Any, Callable[[], Logged]]:
    logger = pl.loggers.CSVLogger(folder)

    def read() -> Logged:
        found: Logged = {}
        with Path(logger.log_dir, "metrics.csv").open() as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value:
                        found.setdefault(name, {})[int(row["step"])] = float(value)
        return found

    return logger, read


def tensorboard(folder: Path) -> tuple[Any, Callable[[], Logged]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = pl.loggers.TensorBoardLogger(folder)

    def read() -> Logged:
        events = EventAccumulator(logger.log_dir).Reload()
        return {
            name: {event.step: event.value for event in events.Scalars(name)}
            for name in events.Tags()["scalars"]
        }

    return logger, read


def wandb(folder: Path) -> tuple[Any, Callable[[], Logged]]:
    import wandb as library
    from wandb.proto.wandb_internal_pb2 import Record

    from grokpredict.logs.wandb_run import _content, _records

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = library.Settings(silent=True, x_disable_stats=True, console="off")
        logger = pl.loggers.WandbLogger(offline=True, save_dir=folder, settings=settings)

    def read() -> Logged:
        library.finish()
        library.teardown()
        found: Logged = {}
        (path,) = folder.rglob("*.wandb")
        for data in _records(_content(path), path):
            record = Record.FromString(data)
            row = {
                ".".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.history.item
            }
            for name, value in row.items():
                if isinstance(value, float | int):
                    found.setdefault(name, {})[row.get("trainer/global_step", -1)] = value
        return found

    return logger, read


def mlflow(folder: Path) -> tuple[Any, Callable[[], Logged]]:
    from mlflow.tracking import MlflowClient

    uri = (folder / "mlruns").as_uri()
    logger = pl.loggers.MLFlowLogger(tracking_uri=uri)

    def read() -> Logged:
        client = MlflowClient(uri)
        names = client.get_run(logger.run_id).data.metrics
        return {
            name: {m.step: m.value for m in client.get_metric_history(logger.run_id, name)}
            for name in names
        }

    return logger, read


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No library writes elsewhere or asks a network."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("WANDB_MODE", "offline")


def expected(verdicts: list[Verdict], field: str) -> dict[int, float]:
    values = {look.horizon - 1: getattr(look, field) for look in verdicts}
    return {step: pytest.approx(value, rel=1e-6) for step, value in values.items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_look_and_the_outcome_are_in_every_log(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    """Also the look after one that warned."""
    libraries = {each.__name__: each(tmp_path) for each in (csv_log, tensorboard, wandb, mlflow)}
    predictor = GrokPredictor(classifier, action="warn")
    train(predictor, [logger for logger, _ in libraries.values()])
    assert [look.action for look in predictor.verdicts] == ["abort", "abort"]
    for name, (_, read) in libraries.items():
        found = read()
        for field in ("probability", "threshold"):
            assert found[f"grokpredict/{field}"] == expected(predictor.verdicts, field), name
        assert found["grokpredict/verdict"] == {199: -1, 281: -1}, name
        assert found["grokpredict/stopped"] == {BUDGET - 1: 0}, name
        assert found["grokpredict/generalised"] == {BUDGET - 1: 0}, name
        # The module's own metrics stay as they were.
        losses = {step: DOOMED[step] for step in range(49, BUDGET, 50)}
        assert found["train_loss"] == pytest.approx(losses, rel=1e-6), name


@pytest.mark.parametrize(
    ("losses", "accuracy", "outcome"),
    [
        (DOOMED, 0.1, {"stopped": {200: 1}, "generalised": {200: 0}}),
        (GOOD, 0.99, {"stopped": {BUDGET - 1: 0}, "generalised": {BUDGET - 1: 1}}),
    ],
)
def test_the_outcome_says_who_ended_the_fit(
    classifier: GrokClassifier,
    tmp_path: Path,
    losses: Any,
    accuracy: float,
    outcome: dict[str, dict[int, float]],
) -> None:
    logger, read = csv_log(tmp_path)
    train(GrokPredictor(classifier), logger, losses, accuracy)
    found = read()
    assert {name: found[f"grokpredict/{name}"] for name in outcome} == outcome


def test_without_a_validation_nobody_knows_whether_it_generalised(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    logger, read = csv_log(tmp_path)
    fit(Follows(GOOD), GrokPredictor(classifier), logger=logger)
    assert "grokpredict/stopped" in read()
    assert "grokpredict/generalised" not in read()
