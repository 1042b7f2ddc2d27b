"""Damaged logs of every format: whole ones of the real libraries, and ways to damage them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import loggers
import numpy as np

#: What a damaged number may become.
NUMBERS = (
    b"nan",
    b"-1",
    b"1e400",
    b"9" * 400,
    b"0x10",
    b"",
    b"null",
    b'"a"',
    b"[1]",
    b"{}",
    b"1e18",
)


def whole_logs(folder: Path) -> dict[str, Path]:
    """Write one run in every format; return what is read of each."""
    run = loggers.a_run(60)
    logs = {write.__name__: write(run, _made(folder / write.__name__)) for write in loggers.WRITERS}
    lines = [{"step": step, "train_loss": loss} for step, loss in enumerate(run.losses.tolist())]
    (folder / "json").mkdir()
    (folder / "json" / "a.json").write_text(json.dumps({"config": {"lr": 1}, "history": lines}))
    (folder / "plain").mkdir()
    rows = "".join(f"{step},{loss},0.5\n" for step, loss in enumerate(run.losses.tolist()))
    (folder / "plain" / "a.csv").write_text("step,train_loss,val_acc\n" + rows)
    (folder / "plain" / "a.yaml").write_text("lr: 0.1\noptimizer:\n  name: adamw\nmax_steps: 60\n")
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "train_loss.npy", run.losses)
    return {**logs, **{name: folder / name for name in ("json", "plain", "npy")}}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def damaged(
    log: Path, target: Path, number: int, rng: np.random.Generator
) -> Iterator[tuple[int, Path]]:
    """Yield copies of a log, of which one file is damaged each time."""
    for i in range(number):
        place = target / str(i)
        copy = place / log.name
        if log.is_dir():
            shutil.copytree(log, copy)
        else:
            place.mkdir(parents=True)
            for file in log.parent.iterdir():  # its configuration too
                if file.is_file():
                    shutil.copy(file, place)
        files = sorted(file for file in place.rglob("*") if file.is_file())
        file = files[int(rng.integers(len(files)))]
        way = WAYS[int(rng.integers(len(WAYS)))]
        file.write_bytes(way(file.read_bytes(), rng))
        yield i, place


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(max(len(data), 1), size=int(rng.integers(1, 6))) if data else ():
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data) + 1))
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data) + 1))
    end = start + int(rng.integers(1, 200))
    return data[:end] + data[start:end] + data[end:]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    """Put something odd in the place of a number."""
    digits = [i for i in range(len(data)) if data[i : i + 1].isdigit()]
    if not digits:
        return _flip(data, rng)
    start = end = digits[int(rng.integers(len(digits)))]
    while data[end : end + 1].isdigit():
        end += 1
    return data[:start] + NUMBERS[int(rng.integers(len(NUMBERS)))] + data[end:]


def _lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    i, j = rng.integers(len(lines), size=2)
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


WAYS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _cut,
    _flip,
    _drop,
    _repeat,
    _number,
    _number,
    _lines,
)
