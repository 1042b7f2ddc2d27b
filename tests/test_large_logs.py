"""A log that is read block by block is the same as one that is read at once, in less memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_log_cases import CASES

from grokpredict.logs import LogError, csv_text, parquet, read_run, read_sweep, source
from grokpredict.runs.sweep import Sweep


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def use() -> None:
        monkeypatch.setattr(source, "_BLOCK", 512)
        monkeypatch.setattr(csv_text, "_ROWS", 20)
        monkeypatch.setattr(parquet, "_ROWS", 20)

    return use


def content(sweep: Sweep) -> list[object]:
    """All that was read, as what compares."""
    runs = [
        (
            run.name,
            run.notes,
            run.step_unit,
            run.max_steps,
            {key: value if isinstance(value, str) else float(value) for key, value in told.items()},
            {name: (c.steps.tolist(), c.values.tobytes()) for name, c in run.channels.items()},
        )
        for run in sweep.runs
        for told in [{k: v for k, v in run.hparams.items() if isinstance(v, str | int | float)}]
    ]
    return [*runs, *sweep.left_out, sweep.findings.columns, sweep.findings.remarks]


@pytest.mark.parametrize("name", CASES)
def test_blocks_make_no_difference(
    name: str, tmp_path: Path, small_blocks: Callable[[], None]
) -> None:
    write, columns, _ = CASES[name]
    write(tmp_path)
    whole = content(read_sweep(tmp_path, columns))
    small_blocks()
    assert content(read_sweep(tmp_path, columns)) == whole


ROWS = 100_000
LOSSES = 1 + np.cos(np.arange(ROWS) / 100)


def as_csv(folder: Path) -> Path:
    path = folder / "a.csv"
    rows = (
        f"{step},{loss!r},{0.5 if step % 50 == 0 else ''}\n"
        for step, loss in enumerate(LOSSES.tolist())
    )
    path.write_text("step,train_loss,val_acc\n" + "".join(rows))
    return path


def as_json_lines(folder: Path) -> Path:
    path = folder / "a.jsonl"
    rows = ({"step": step, "train_loss": loss} for step, loss in enumerate(LOSSES.tolist()))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_parquet(folder: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    path = folder / "a.parquet"
    table = pyarrow.table({"step": np.arange(ROWS), "train_loss": LOSSES})
    files.write_table(table, path)
    return path


@pytest.mark.parametrize("write", [as_csv, as_json_lines, as_parquet])
def test_a_large_log_takes_little_memory(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty million rows in a gigabyte are 50 bytes a row; lists of cells took 225."""
    path = write(tmp_path)
    for module, name, size in ((source, "_BLOCK", 2**16), (parquet, "_ROWS", 1000)):
        monkeypatch.setattr(module, name, size)
    read_run(path)  # what is imported and cached at the first call does not count
    tracemalloc.start()
    try:
        run = read_run(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(run.loss.values, LOSSES)
    np.testing.assert_array_equal(run.loss.steps, np.arange(ROWS))
    assert peak < 50 * ROWS


PLAIN = "step,train_loss\n" + "".join(f"{step},1.0\n" for step in range(60))
QUOTED = 'step,note,train_loss\n0,"two\nlines",1.0\n\n' + "".join(
    f'{step},"",1.0\n' for step in range(1, 60)
)
OBJECTS = '{"seed": 3}\n\n' + "".join(
    f'{{"step": {step}, "train_loss": 1.0}}\n' for step in range(60)
)


@pytest.mark.parametrize(
    ("begin", "bad", "end", "line"),
    [
        (PLAIN, "60,x\n", "61,1.0\n", 62),
        (QUOTED, '60,"",x\n', '61,"",1.0\n', 64),
        (OBJECTS, '{"step": 60, "train_loss": "x"}\n', '{"train_loss": 1.0}\n', 63),
    ],
)
def test_the_line_of_a_fault_is_told_in_any_block(
    begin: str, bad: str, end: str, line: int, tmp_path: Path, small_blocks: Callable[[], None]
) -> None:
    path = tmp_path / "a.log"
    path.write_text(begin + bad + 300 * end)
    small_blocks()
    with pytest.raises(LogError, match=rf"must hold numbers, line {line} of"):
        read_run(path)


@pytest.mark.parametrize("first", ["1", '"1"'])
def test_a_short_row_is_told_with_its_line(first: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"step,train_loss\n0,{first}\n1\n2,3\n")
    with pytest.raises(LogError, match=r"has 2; line 3 of .*a\.csv has 1"):
        read_run(tmp_path / "a.csv")
