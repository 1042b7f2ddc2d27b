"""Finding runs in folders, and what Lightning writes."""

from __future__ import annotations

from pathlib import Path

import lightning_logs_of_trainer as lightning
import numpy as np
import pytest

from grokpredict.logs import Columns, LogError, by_reason, read_run, read_sweep, write_bundle
from grokpredict.runs.sweep import LeftOut

GOOD = "step,loss\n0,1\n1,0.5\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b/run.csv",
        "a/run.csv",
        "a/.hidden.csv",
        ".cache/run.csv",
        "c/version_0/metrics.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "c/version_0/hparams.yaml").write_text("lr: 0.1\n")
    (tmp_path / "c/version_0/extra.csv").write_text(GOOD)
    (tmp_path / "b/broken.csv").write_text("step,loss\n0,1\n1,x\n")
    (tmp_path / "b/notes.txt").write_text("not a log")
    (tmp_path / "d.jsonl").write_text('{"loss": 1}\n{"loss": 2}\n')
    write_bundle(tmp_path / "e.npz", channels={"train_loss": (np.arange(3), np.ones((2, 3)))})
    return tmp_path


def test_folders_are_searched_in_order_and_bad_runs_left_out(folder: Path) -> None:
    sweep = read_sweep([folder])
    names = [Path(run.name).relative_to(folder).as_posix() for run in sweep.runs]
    assert names == ["a/run.csv", "b/run.csv", "c/version_0", "d.jsonl", "e.npz[0]", "e.npz[1]"]
    assert [each.path for each in sweep.left_out] == [str(folder / "b/broken.csv")]
    assert sweep.runs[2].configuration.learning_rate == 0.1


def test_a_path_that_is_named_twice_is_read_once(folder: Path) -> None:
    (folder / "again.csv").symlink_to(folder / "a/run.csv")
    sweep = read_sweep([folder / "a", folder, folder / "a/run.csv"])
    assert len(sweep) == 6


def test_processes_change_nothing(tmp_path: Path) -> None:
    for i in range(70):
        (tmp_path / f"{i:02}.csv").write_text(GOOD if i % 7 else "x\n")
    alone, together = (read_sweep([tmp_path], jobs=jobs) for jobs in (1, 2))
    assert [run.name for run in alone.runs] == [run.name for run in together.runs]
    assert alone.left_out == together.left_out
    assert len(alone.left_out) == 10


def test_progress_counts_logs(folder: Path) -> None:
    seen: list[tuple[int, int]] = []

    def track(logs, total):
        for i, log in enumerate(logs, 1):
            seen.append((i, total))
            yield log

    read_sweep([folder], track=track)
    assert seen == [(i, 6) for i in range(1, 7)]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"No file or folder .*nope"):
        read_sweep([tmp_path / "nope"])
    with pytest.raises(LogError, match="No logs under"):
        read_sweep([tmp_path])


def test_one_run_means_one(folder: Path) -> None:
    with pytest.raises(LogError, match=r"e.npz holds 2 runs, not one"):
        read_run(folder / "e.npz")
    with pytest.raises(LogError, match="line 3"):
        read_run(folder / "b/broken.csv")


def test_reasons_are_grouped_whatever_the_file_and_the_numbers() -> None:
    left = [LeftOut(f"r{i}", f"line {i} of r{i} is bad") for i in range(5)]
    left.insert(2, LeftOut("z", "is empty"))
    assert by_reason(left) == [(5, left[0]), (1, left[2])]


def test_what_a_trainer_writes(tmp_path: Path) -> None:
    run = read_run(lightning.trained(tmp_path, steps=24, log_every=1, evaluate_every=8))
    assert list(run.loss.steps) == list(range(24))
    assert np.isfinite(run.loss.values).all()
    assert list(run.channels["val_acc"].steps) == [7, 15, 23]
    assert run.hparams["lr"] == 0.05
    assert run.max_steps == 24


def test_what_a_trainer_writes_every_five_steps(tmp_path: Path) -> None:
    run = read_run(lightning.trained(tmp_path, steps=25, log_every=5, evaluate_every=10))
    assert list(run.loss.steps) == [4, 9, 14, 19, 24]


def test_a_resumed_trainer_lacks_its_start(tmp_path: Path) -> None:
    lightning.trained(tmp_path, steps=10, log_every=1, evaluate_every=5, resume_to=20)
    sweep = read_sweep([tmp_path], Columns())
    assert [len(run.loss) for run in sweep.runs] == [10]
    assert "from its start" in sweep.left_out[0].reason
