"""Time and memory of ``train-classifier`` over the number of runs, on synthetic curves.

    python benchmarks/bench_scale.py csv:1000 csv:10000 jsonl:1000 bundle:1000 bundle:10000

Each sweep is trained on twice, with an empty cache and with a full one. Seconds by the clock say
little on a busy machine, so the seconds of processor time are there too: divided by the number of
cores they are what the clock would show at best. Memory is the sum over all processes, in which a
page that several of them share counts once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

STEPS = 3200
EVALUATE_EVERY = 50
BUNDLE_RUNS = 1000

COMMAND = [sys.executable, "-c", "from grokpredict.cli import main; main()", "train-classifier"]


def curves(first: int, n_runs: int) -> tuple[np.ndarray, np.ndarray, list[dict[str, object]]]:
    """Losses, validation accuracies and configurations; the oscillation tells the outcome."""
    rng = np.random.default_rng(first)
    t = np.arange(STEPS)
    strength = rng.uniform(-1, 1, n_runs)[:, None]
    wave = 0.02 * 10**strength * np.sin(2 * np.pi * t / 12 + rng.uniform(0, 6, (n_runs, 1)))
    noise = 0.005 * rng.standard_normal((n_runs, STEPS))
    loss = (3 * np.exp(-t / 150) + 0.1) * (1 + wave + noise)
    end = 10_000 * 10 ** (-0.6 * strength)
    accuracy = np.where(np.arange(0, 10_000, EVALUATE_EVERY) >= end, 0.99, 0.1)
    rates = 10.0 ** rng.uniform(-4, -2, n_runs)
    hparams: list[dict[str, object]] = [
        {"lr": float(rate), "weight_decay": 0.1, "optimizer": "adamw", "max_steps": 10_000}
        for rate in rates
    ]
    return loss.astype(np.float32), accuracy.astype(np.float32), hparams


def rows(loss: np.ndarray, accuracy: np.ndarray) -> Iterator[tuple[int, object, object]]:
    told = loss.tolist()
    for step in range(STEPS):
        yield step, told[step], ""
        if step % EVALUATE_EVERY == 0:
            yield step, "", float(accuracy[step // EVALUATE_EVERY])
    for i in range(STEPS // EVALUATE_EVERY, accuracy.size):
        yield i * EVALUATE_EVERY, "", float(accuracy[i])


def write(kind: str, n_runs: int, folder: Path) -> None:
    for first in range(0, n_runs, BUNDLE_RUNS):
        number = min(BUNDLE_RUNS, n_runs - first)
        loss, accuracy, hparams = curves(first, number)
        if kind == "bundle":
            np.savez(
                folder / f"{first:06}.npz",
                train_loss=loss,
                val_acc=accuracy,
                val_acc_steps=np.arange(0, 10_000, EVALUATE_EVERY),
                n_steps=np.full(number, 10_000),
                hparams=np.array([json.dumps(own) for own in hparams]),
            )
            continue
        for i in range(number):
            name = f"{first + i:06}"
            if kind == "csv":
                (folder / name).mkdir()
                text = "".join(f"0,{s},{a},{b}\n" for s, a, b in rows(loss[i], accuracy[i]))
                (folder / name / "metrics.csv").write_text("epoch,step,train_loss,val_acc\n" + text)
                told = "".join(f"{key}: {value}\n" for key, value in hparams[i].items())
                (folder / name / "hparams.yaml").write_text(told)
            else:
                lines = [json.dumps({"hparams": hparams[i]})]
                for step, a, b in rows(loss[i], accuracy[i]):
                    own = {"step": step, "train_loss": a, "val_acc": b}
                    lines.append(json.dumps({k: v for k, v in own.items() if v != ""}))
                (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def resident(leader: int) -> int:
    """Bytes in memory of all processes of a session."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == leader:
                lines = (path / "smaps_rollup").read_text().splitlines()
                total += next(int(own.split()[1]) * 1024 for own in lines if own.startswith("Pss:"))
        except (OSError, ValueError, StopIteration):
            continue
    return total


def measured(folder: Path, cache: Path, jobs: int) -> dict[str, float]:
    env = {**os.environ, "GROKPREDICT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, str(folder), "-o", str(cache.parent / "c.npz"), "--jobs", str(jobs)],
        env=env,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, resident(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    done.set()
    watcher.join()
    if status:
        raise SystemExit(f"train-classifier ended with {status}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": peak / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweeps", nargs="+", metavar="KIND:RUNS")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where to write the sweeps")
    args = parser.parse_args()
    before: dict[str, tuple[int, dict[str, float]]] = {}
    print(
        "| sweep | s | s of CPU | CPU ms / run | peak MB | again: s | s of CPU "
        "| exponents: s, CPU, MB |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for each in args.sweeps:
        kind, _, number = each.partition(":")
        n_runs = int(number)
        with tempfile.TemporaryDirectory(dir=args.folder) as name:
            folder = Path(name) / "sweep"
            folder.mkdir()
            write(kind, n_runs, folder)
            first, again = (measured(folder, Path(name) / "cache", args.jobs) for _ in range(2))
            shutil.rmtree(folder)
        growth = "-"
        if kind in before:
            n, smaller = before[kind]
            grown = math.log(n_runs / n)
            growth = ", ".join(
                f"{math.log(first[key] / smaller[key]) / grown:.2f}" for key in first
            )
        before[kind] = n_runs, first
        print(
            f"| {kind}, {n_runs} | {first['wall']:.0f} | {first['cpu']:.0f} "
            f"| {first['cpu'] / n_runs * 1e3:.1f} | {first['peak']:.0f} | {again['wall']:.1f} "
            f"| {again['cpu']:.1f} | {growth} |",
            flush=True,
        )
    print(f"load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)


if __name__ == "__main__":
    main()
