"""Every format, in files that the real library writes here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import loggers
import numpy as np
import pytest
from loggers import Logged, a_run

from grokpredict.classifier import GrokClassifier
from grokpredict.logs import read_run, read_sweep
from grokpredict.scoring import score_run

Writer = Callable[[Logged, Path], Path]

WRITERS = pytest.mark.parametrize("writer", loggers.WRITERS, ids=lambda each: each.__name__)

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::PendingDeprecationWarning"
)


@pytest.fixture(scope="session", autouse=True)
def quiet_loggers() -> None:
    os.environ.update(
        MLFLOW_ALLOW_FILE_STORE="true",
        MLFLOW_DISABLE_TELEMETRY="true",
        WANDB_ERROR_REPORTING="false",
        HF_HUB_OFFLINE="1",
    )


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Writer], Path]:
    """Where a writer put the run that all of them write, once."""
    written: dict[str, Path] = {}

    def path_of(writer: Writer) -> Path:
        name = writer.__name__
        if name not in written:
            written[name] = writer(a_run(), tmp_path_factory.mktemp(name))
        return written[name]

    return path_of


@WRITERS
def test_all_is_read(logged: Callable[[Writer], Path], writer: Writer) -> None:
    path = logged(writer)
    found = read_sweep([path])
    assert not found.left_out
    (run,) = found.runs
    first = 1 if writer is loggers.trainer_state else 0
    np.testing.assert_array_equal(run.loss.steps, np.arange(120) + first)
    np.testing.assert_array_equal(run.loss.values, a_run().losses)
    np.testing.assert_array_equal(run.channels["val_acc"].steps, np.arange(9, 120, 10) + first)
    assert set(run.channels["val_acc"].values) == {0.125}
    assert set(run.channels) == {"train_loss", "val_acc"}
    known = {"optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.1}
    assert run.context.known() == known
    assert run.max_steps == 400
    assert sum(found.findings.formats.values()) == 1


def test_the_same_run_has_the_same_probability(
    logged: Callable[[Writer], Path], classifier: GrokClassifier
) -> None:
    """Exactly: the losses are float32, as a training's are, and so TensorBoard rounds none."""
    scores = [score_run(read_run(logged(writer)), classifier) for writer in loggers.WRITERS]
    expected = [look.probability for look in scores[0].looks]
    assert len(expected) == 2
    for score in scores:
        assert [look.probability for look in score.looks] == pytest.approx(expected, abs=1e-6)


DIVERGING = [
    loggers.lightning_csv,
    loggers.summary_writer,
    loggers.trainer_state,
    loggers.wandb_offline,
    loggers.wandb_parquet,
    loggers.mlflow_files,
]


@pytest.mark.parametrize("writer", DIVERGING, ids=lambda each: each.__name__)
def test_a_diverged_run_is_one_in_every_format(writer: Writer, tmp_path: Path) -> None:
    run = a_run()
    losses = np.where(np.arange(120) == 118, np.inf, run.losses)
    losses[119] = np.nan
    found = read_run(writer(replace(run, losses=losses), tmp_path))
    np.testing.assert_array_equal(found.loss.values, losses)
    assert found.diverged
