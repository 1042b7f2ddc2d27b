"""One bad run never ends a sweep: it is left out with its reason, and the others are read."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import loggers
import numpy as np
import pytest
from click.testing import CliRunner
from loggers import a_run
from planted import planted_sweep

from grokpredict import train
from grokpredict.cli import main
from grokpredict.logs import LogError, csv_file, read_run, read_sweep
from grokpredict.runs.budget import folders_of, longest_of
from grokpredict.runs.curve import MAX_STEP, Curve, checked_steps
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.sweep import Sweep
from grokpredict.training import gathering
from grokpredict.training.record import records_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::PendingDeprecationWarning"
)

LEVEL = "generalised_at_val_loss"

GOOD = "step,train_loss,val_acc\n" + "".join(f"{i},{1 / (1 + i)},0.1\n" for i in range(60))


def beside(name: str, text: str) -> Callable[[Path], None]:
    """A good log with a bad configuration."""

    def write(folder: Path) -> None:
        (folder / "a.csv").write_text(GOOD)
        (folder / name).write_text(text)

    return write


def log(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return write


def steps(*values: object) -> str:
    return "step,train_loss\n" + "".join(f"{value},1.0\n" for value in values)


def states(*rows: object) -> Callable[[Path], None]:
    return log("r/trainer_state.json", json.dumps({"log_history": rows}))


def metric(line: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        run = folder / "mlruns" / "0" / "abc"
        (run / "metrics").mkdir(parents=True)
        (run / "meta.yaml").write_text("run_id: abc\nlifecycle_stage: active\n")
        text = "".join(f"1700 {1 / (i + 1)} {i}\n" for i in range(50))
        (run / "metrics" / "train_loss").write_text(text + line)

    return write


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a level that is text": (
        beside("a.yaml", "generalised_at_val_loss: low\n"),
        "generalised_at_val_loss must be a number",
    ),
    "a level that is a list": (
        beside("a.yaml", "generalised_at_val_loss: [1, 2]\n"),
        "generalised_at_val_loss must be a number",
    ),
    "a level beyond floats": (
        beside("a.yaml", f"generalised_at_val_loss: {'9' * 400}\n"),
        "generalised_at_val_loss must be a number",
    ),
    "YAML that holds itself": (
        beside("a.yaml", "lr: 1\nx: &x\n  parent: *x\n"),
        "contains itself",
    ),
    "an integer of 5 000 digits": (
        beside("a.yaml", f"lr: 1\nhuge: {'9' * 5000}\n"),
        "must be YAML or JSON.*digits",
    ),
    "YAML that is none": (beside("a.yaml", "a: [1\n"), "must be YAML or JSON"),
    "JSON that is a list": (beside("a.json", "[1, 2]"), "must be a mapping"),
    "a step of 2 ** 63": (log("a.csv", steps(0, 2**63)), "whole number from 0 up, line 3"),
    "a step of 1e18": (log("a.csv", steps(0, "1e18")), "whole number from 0 up, line 3"),
    "a step of 400 digits": (
        log("a.jsonl", "".join(f'{{"step": {s}, "loss": 1}}\n' for s in (0, "9" * 400))),
        "column 'step' must hold numbers, line 2|whole number from 0 up",
    ),
    "a negative step": (log("a.csv", steps(-1, 0)), "whole number from 0 up, line 2"),
    "a long cell before a bad number": (
        log("a.csv", f'step,note,loss\n0,"{"x" * 200_000}",1\n1,a,oops\n'),
        "must hold numbers|cannot be read as CSV",
    ),
    "a state without rows": (
        log("r/trainer_state.json", '{"log_history": {"loss": 1}}'),
        "of rows",
    ),
    "a state of lists": (states([1, 2]), "log_history of rows"),
    "a state of texts": (states("train_runtime", "x"), "log_history of rows"),
    "a state whose loss is text": (
        states({"loss": "x", "step": 1}, {"loss": 1.0, "step": 2}),
        "must hold numbers",
    ),
    "an MLflow step below zero": (
        metric("1 1 -1\n"),
        "whole number from 0 up to 2 [*][*] 53, got -1",
    ),
    "a huge MLflow step": (metric(f"1 1 {10**30}\n"), "whole number from 0 up to 2 [*][*] 53"),
    "an MLflow line with words": (metric("a b c\n"), "train_loss"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_run_is_left_out_with_its_reason(name: str, tmp_path: Path) -> None:
    write, reason = BAD[name]
    write(tmp_path)
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / "good.csv").write_text(GOOD)
    sweep = read_sweep(tmp_path)
    assert [Path(run.name).name for run in sweep.runs] == ["good.csv"]
    (left,) = sweep.left_out
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(left.reason)
    assert "Error" not in left.reason


@pytest.mark.parametrize(
    "text",
    [
        "1: a\nx: b\n2026-01-02: c\nlr: 0.5\n",
        "lr: 0.5\nx: [{1: 2, b: 3}]\n",
    ],
    ids=["keys of several types", "keys in a list"],
)
def test_odd_configurations_are_read(text: str, tmp_path: Path) -> None:
    beside("a.yaml", text)(tmp_path)
    (run,) = read_sweep(tmp_path).runs
    assert run.configuration.learning_rate == 0.5
    assert len(run.configuration_key) == 16


def test_a_metric_that_was_cut_is_no_other_step(tmp_path: Path) -> None:
    """ "1700 0.25 50" cut to "1700 0.25 5": MLflow ends every line, so the run was killed there."""
    metric("1700 0.25 5")(tmp_path)
    run = read_run(tmp_path)
    assert run.loss.steps.tolist() == list(range(50))
    assert run.loss.values[5] == 1 / 6


def test_a_wandb_record_that_does_not_decode(tmp_path: Path) -> None:
    """Its checksum is right: it was written like this."""
    body = b"\xff\xff\xff\xff"
    header = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
    record = struct.pack("<IHB", zlib.crc32(body, zlib.crc32(bytes([1]))), len(body), 1) + body
    (tmp_path / "run-a.wandb").write_bytes(header + record)
    (tmp_path / "good.csv").write_text(GOOD)
    sweep = read_sweep(tmp_path)
    assert len(sweep.runs) == 1
    assert "cannot decode" in sweep.left_out[0].reason


@pytest.mark.parametrize(
    ("column", "value"),
    [("step", -1), ("step", "soon"), ("key", b"\xff"), ("value", b"\xff"), ("value", "much")],
)
def test_an_mlflow_database_with_a_bad_row(
    column: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = loggers.new_database(tmp_path)
    bad, _ = loggers.mlflow_into(uri, a_run(60)), loggers.mlflow_into(uri, a_run(60))
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute(
            f"UPDATE metrics SET {column} = ? WHERE run_uuid = ? AND key = 'val_acc' AND step = 9",
            (value, bad),
        )
    sweep = read_sweep(tmp_path)
    assert len(sweep.runs) == 1
    assert bad in sweep.left_out[0].path


def test_a_damaged_database_is_left_out_and_strict_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    loggers.new_database(tmp_path)
    file = tmp_path / "mlflow.db"
    file.write_bytes(file.read_bytes()[:100] + b"\xff" * 4000)
    (tmp_path / "good.csv").write_text(GOOD)
    sweep = read_sweep(tmp_path)
    assert len(sweep.runs) == len(sweep.left_out) == 1
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--strict"])
    assert result.exit_code == 2
    assert "mlflow.db" in result.stderr


# ------------------------------------------------------------------------------ searching


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder in a folder and so on, 1 500 times: step by step, since no path is as long."""
    (tmp_path / "good.csv").write_text(GOOD)
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1500):
        os.mkdir("deeper")  # noqa: PTH102
        os.chdir("deeper")
    os.chdir(here)
    yield tmp_path
    os.chdir(tmp_path)
    for _ in range(1500):
        os.chdir("deeper")
    for _ in range(1500):
        os.chdir("..")
        os.rmdir("deeper")  # noqa: PTH106
    os.chdir(here)


def test_a_folder_in_a_folder_and_so_on(deep: Path) -> None:
    """No recursion ends the search, and what has too long a name is left out."""
    sweep = read_sweep(deep)
    assert len(sweep.runs) == 1
    assert all("cannot be searched" in left.reason for left in sweep.left_out)


def test_folders_that_links_lead_to_are_read_once(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "run"
    elsewhere.mkdir(parents=True)
    (elsewhere / "log.csv").write_text(GOOD)
    sweep_folder = tmp_path / "sweep"
    sweep_folder.mkdir()
    (sweep_folder / "a").symlink_to(elsewhere)
    (sweep_folder / "b").symlink_to(elsewhere)
    for name in ("itself", "once more"):
        (sweep_folder / name).symlink_to(sweep_folder)
    assert len(read_sweep(sweep_folder).runs) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    secret = tmp_path / "secret"
    secret.mkdir(mode=0)
    sweep = read_sweep(tmp_path)
    secret.chmod(0o700)
    assert len(sweep.runs) == 1
    assert "cannot be searched" in sweep.left_out[0].reason


def test_files_that_are_no_logs_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "good.json").write_text('{"lr": 0.1}')
    (tmp_path / "summary.json").write_text('{"best": [0.9, 0.8]}')
    for name in ("a.pt", "b.pt", "notes"):
        (tmp_path / name).write_text("x")
    result = CliRunner().invoke(main, ["score", str(tmp_path), "--json"])
    assert result.exit_code == 0
    assert (
        "not read, since they are no logs: 2 .pt, 1 without an extension, 1 .json without curves, "
        f"such as {tmp_path / 'a.pt'}\n"
    ) in result.stderr
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.pt").write_text("x")
    with pytest.raises(LogError, match=r"No logs under .*, only 1 \.pt"):
        read_sweep(tmp_path / "only")


# ------------------------------------------------------------------- using what was read


def test_a_fault_of_a_reader_that_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text(GOOD)
    parse = csv_file.parse

    def failing(text: str, name: str) -> object:
        if name.endswith("b.csv"):
            raise ZeroDivisionError("a fault")
        return parse(text, name)

    monkeypatch.setattr(csv_file, "parse", failing)
    sweep = read_sweep(tmp_path)
    assert [Path(run.name).name for run in sweep.runs] == ["a.csv", "c.csv"]
    assert sweep.left_out[0].reason == "it cannot be read: ZeroDivisionError: a fault"


def test_a_run_that_cannot_be_recorded_is_left_out_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text(GOOD)

    def failing(runs, rule):  # type: ignore[no-untyped-def]
        if any(run.name.endswith("b.csv") for run in runs):
            raise ZeroDivisionError("a fault that nobody foresaw")
        return records_of(runs, rule)

    monkeypatch.setattr(gathering, "records_of", failing)
    gathered = gathering.gather([tmp_path])
    assert [Path(record.facts.name).name for record in gathered.records] == ["a.csv", "c.csv"]
    (left,) = gathered.left_out
    assert left.path.endswith("b.csv")
    assert left.reason == "it cannot be read: ZeroDivisionError: a fault that nobody foresaw"


@pytest.mark.parametrize(
    "wrong", [[-1, 0], [0, 0], [1, 0], [0.5, 1], [0, float("nan")], [0, MAX_STEP * 2], [0, 10**30]]
)
def test_steps_are_checked_in_one_place(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="step"):
        checked_steps(wrong)
    assert checked_steps([0, MAX_STEP]).dtype == np.int64


# ------------------------------------------------------------------- the folder's budget


def test_the_budget_of_a_folder_is_that_of_its_longest_run() -> None:
    assert longest_of([500, 1000, 200], [500, 1000, None], "a").steps == 1000
    assert str(longest_of([500, 1000], [500, 1000], "a")) == "1000 steps, the longest run in a"


def test_one_long_run_does_not_make_the_others_unknown() -> None:
    """Of 937 runs that were once read, a single one of 100 000 steps left 406 without outcome."""
    ends = [5000] * 936 + [100_000]
    known: list[int | None] = [5000] * 406 + [None] * 530 + [100_000]
    budget = longest_of(ends, known, "runs")
    assert budget.steps == 5000
    assert budget.source == "the longest run in runs, but for 1 that is longer"
    # Where most were watched to the end, those that were interrupted stay unknown.
    assert longest_of([10_000] * 6 + [3000] * 4, [10_000] * 6 + [3000] * 4, "").steps == 10_000


def test_each_folder_has_its_budget() -> None:
    names = ["s/a/0/m.csv", "s/a/1/m.csv", "s/b/x.csv", "s/b/y.csv", "s/lone/z.csv"]
    assert folders_of(names) == ["s/a", "s/a", "s/b", "s/b", "s"]


def write_runs(folder: Path, length: int, number: int, *, good: int = 0) -> None:
    folder.mkdir(parents=True)
    for i in range(number):
        rows = (
            f"{step},{np.exp(-step / 100):.6f},{0.99 if i < good and step > length / 2 else 0.1}\n"
            for step in range(0, length, 10)
        )
        (folder / f"{i}.csv").write_text("step,train_loss,val_acc\n" + "".join(rows))


def test_the_budget_is_printed_with_where_it_comes_from(tmp_path: Path) -> None:
    write_runs(tmp_path / "short", 1000, 6, good=3)
    write_runs(tmp_path / "long", 3000, 6, good=3)
    (tmp_path / "short" / "stray.csv").write_text(steps(0, 10, 20, 30, 2**50))
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "Budget of 6 runs: 1000 steps, the longest run in short" in result.output
    assert "Budget of 6 runs: 3000 steps, the longest run in long" in result.output


# --------------------------------------------------------------------------- regressions


def test_a_sweep_of_regressions_saves_their_rule() -> None:
    """And not an accuracy of 0.95, which no run of it ever has."""
    runs = []
    for run in planted_sweep(30).runs:
        accuracy = run.channels["val_acc"]
        curves = {"train_loss": run.loss, "val_loss": Curve(accuracy.steps, 1 - accuracy.values)}
        runs.append(replace(run, channels=curves, hparams={**run.hparams, LEVEL: 0.05}))
    classifier, report = train(Sweep(runs))
    assert report.counts.generalised > 10
    assert classifier.rule == LabelRule("val_loss", 0.05)
