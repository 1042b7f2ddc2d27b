"""Every format, in files that the real library writes here."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import loggers
import numpy as np
import pytest
from click.testing import CliRunner, Result
from loggers import Logged, a_run
from planted import planted_sweep

from grokpredict.cli import main
from grokpredict.evaluation.scoring import score
from grokpredict.logs import read_run, read_sweep, write_bundle
from grokpredict.model.classifier import GrokClassifier

Writer = Callable[[Logged, Path], Path]

#: The run that all write: long enough for looks after 200 and 282 steps, and over before its plan.
STEPS, PLANNED = 300, 400

WRITERS = pytest.mark.parametrize("writer", loggers.WRITERS, ids=lambda each: each.__name__)

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::PendingDeprecationWarning"
)


def long_run() -> Logged:
    """A run that no look of the short classifier ends, nor finds certain."""
    return a_run(STEPS, {**loggers.HPARAMS, "max_steps": PLANNED}, floor=0.067)


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
            written[name] = writer(long_run(), tmp_path_factory.mktemp(name))
        return written[name]

    return path_of


@WRITERS
def test_all_is_read(logged: Callable[[Writer], Path], writer: Writer) -> None:
    path = logged(writer)
    found = read_sweep([path])
    assert not found.left_out
    (run,) = found.runs
    first = 1 if writer is loggers.trainer_state else 0
    np.testing.assert_array_equal(run.loss.steps, np.arange(STEPS) + first)
    np.testing.assert_array_equal(run.loss.values, long_run().losses)
    np.testing.assert_array_equal(run.channels["val_acc"].steps, np.arange(9, STEPS, 10) + first)
    assert set(run.channels["val_acc"].values) == {0.125}
    assert set(run.channels) == {"train_loss", "val_acc"}
    # The momentum is that which AdamW has by default.
    known = {"optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.1, "momentum": 0.9}
    assert run.configuration.known() == known
    assert run.max_steps == PLANNED
    assert sum(found.findings.formats.values()) == 1


def test_the_same_run_has_the_same_probability(
    logged: Callable[[Writer], Path], classifier: GrokClassifier
) -> None:
    """Exactly: the losses are float32, as a training's are, and so TensorBoard rounds none."""
    runs = [read_run(logged(writer)) for writer in loggers.WRITERS]
    scores = [score(run, classifier, budget=PLANNED) for run in runs]
    expected = [look.probability for look in scores[0].looks]
    assert len(expected) == 2
    assert all(0.1 < probability < 0.9 for probability in expected)
    for scored in scores:
        assert [look.probability for look in scored.looks] == pytest.approx(expected, abs=1e-6)


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


@pytest.fixture(scope="module")
def mixed(logged: Callable[[Writer], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with a run in each format, a bundle to learn from, and three broken logs."""
    folder = tmp_path_factory.mktemp("mixed")
    for writer in loggers.WRITERS:
        shutil.copytree(logged(writer).parent, folder / writer.__name__, symlinks=True)
    runs = planted_sweep(40, steps=STEPS).runs
    write_bundle(
        folder / "planted.npz",
        channels={
            name: (
                runs[0].channels[name].steps,
                np.stack([run.channels[name].values for run in runs]),
            )
            for name in ("train_loss", "val_acc")
        },
        hparams=[{**run.hparams, "optimizer": "adamw", "max_steps": 4000} for run in runs],
    )
    (folder / "data.csv").write_text("x,y\n1,2\n3,4\n")
    (folder / "cut.parquet").write_bytes(b"PAR1")
    (folder / "late").mkdir()
    (folder / "late" / "metrics.csv").write_text("step,loss\n500,1\n501,1\n")
    return folder


def train(folder: Path, output: Path, *options: str) -> Result:
    command = ["train-classifier", str(folder), "-o", str(output), "--no-cache", *options]
    return CliRunner().invoke(main, command)


def test_a_folder_of_all_formats_trains_a_classifier(mixed: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.npz"
    result = train(mixed, output)
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert re.search(r"^55 runs found$", text, re.M)
    assert re.search(r"^ +3  could not be read$", text, re.M)
    for name, number in {
        "bundle": 41,
        "CSV": 2,
        "JSON Lines": 1,
        "Lightning CSVLogger": 1,
        "TensorBoard": 2,
        "Hugging Face trainer_state.json": 1,
        "W&B run file": 1,
        "Parquet": 1,
        "MLflow file store": 1,
        "MLflow database": 1,
    }.items():
        assert re.search(rf"^ +{number}  {re.escape(name)}$", text, re.M), name
    assert re.search(r"^  train_loss +'train_loss' \(9\), .*'train/loss' \(1\)", text, re.M)
    for reason in ("data.csv has 'x', 'y'", "cut.parquet cannot be read", "was it resumed"):
        assert re.search(rf"^ +1  .*{reason}", text, re.M), reason
    assert output.exists()


@pytest.mark.parametrize("command", ["train-classifier", "evaluate"])
def test_strict_wants_every_run(mixed: Path, tmp_path: Path, command: str) -> None:
    options = ["--strict"]
    if command == "train-classifier":
        options += ["--no-cache", "-o", str(tmp_path / "mine.npz")]
    result = CliRunner().invoke(main, [command, str(mixed), *options])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"Error: [^\n]* under --strict, 3 of 55 are not; [^\n]+\n", result.stderr)
    assert not list(tmp_path.iterdir())


def test_most_of_a_sweep_unreadable_is_no_classifier(mixed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(mixed, folder, symlinks=True)
    for i in range(150):
        (folder / f"{i}.csv").write_text("x,y\n1,2\n3,4\n")
    result = train(folder, tmp_path / "mine.npz")
    assert result.exit_code == 2
    assert "at least a third of a sweep must be usable" in result.stderr
    assert not (tmp_path / "mine.npz").exists()


def test_what_is_to_be_known_of_a_log_is_said_when_it_is_scored(
    short_classifier_file: Path, tmp_path: Path
) -> None:
    run = long_run()
    path = loggers.trainer_state(replace(run, losses=run.losses.round(4)), tmp_path)
    command = ["score", str(path), "--classifier", str(short_classifier_file), "--json"]
    result = CliRunner().invoke(main, command)
    (scored,) = json.loads(result.stdout)
    assert scored["looks"]
    assert scored["budget_source"] == "max_steps of its configuration"
    (note,) = scored["notes"]
    assert "rounded to 4 decimals" in note
    text = CliRunner().invoke(main, command[:-1]).stdout
    assert f"  note      {note}\n" in text
    assert "(max_steps of its configuration)" in text
