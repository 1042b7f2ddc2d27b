"""Writers of a ledger in processes of their own: killed at any moment, or on another host.

python ledger_writers.py kill FOLDER ROUNDS SEED
python ledger_writers.py host FOLDER NAME RUNS UMASK SECONDS
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import numpy as np

from grokpredict.live.entry import Entry, LookTaken
from grokpredict.live.ledger import SweepLedger, read_entries
from grokpredict.live.record import RunRecord
from grokpredict.model.calibration import Calibration
from grokpredict.model.verdict import Verdict
from grokpredict.runs.labels import LabelRule

BUDGET, LOOKS = 1000, (200, 282, 400, 565, 800)
READS = ("train_loss", "val_acc")
OURS = ("_util/atomic.py", "live/record.py")


def train(ledger: SweepLedger, name: str, *, good: bool, low: float = 0.5) -> RunRecord:
    """One run to its end, or to the abort that stops it."""
    record = RunRecord(
        ledger,
        name,
        budget=BUDGET,
        max_false_abort=0.05,
        rule=LabelRule(),
        calibrations={READS: Calibration(np.full(70, 0.3))},
        configuration={"lr": 0.1, "task": name},
    )
    for step in LOOKS:
        verdict = Verdict("continue", "", step, BUDGET, probability=low, reads=READS)
        if record.take(verdict).action == "abort":
            return record
    for step in (850, 900, 950, 1000):
        record.evaluated(step, float(good))
    return record


def with_good_runs(folder: Path, reads: tuple[str, ...]) -> SweepLedger:
    """A ledger in which enough good runs have finished; the lowest of them scored 0.3."""
    ledger = SweepLedger(folder)
    for i, score in enumerate(np.linspace(0.3, 0.9, 19).tolist()):
        look = LookTaken(200, "continue", score, None, reads)
        made = Entry(f"before {i}", i, 400, 0.05, looks=(look,), last_step=400)
        ledger.write(replace(made, end="generalised", ended=i, t4=300))
    return ledger


def kill_at_line(last: int) -> None:
    """Kill this process before it runs so many lines of what writes and reads a ledger."""
    lines = count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(OURS):
            return None
        if event == "line" and next(lines) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def killed_at_any_moment(folder: Path, rounds: int, seed: int) -> None:
    """Kill writers of the same three runs; after each, all that can be read is an entry."""
    rng = random.Random(seed)
    # What a writer imports late is imported once, here, and not by every child.
    with TemporaryDirectory() as elsewhere:
        train(SweepLedger(elsewhere), "first", good=True)
    for _ in range(rounds):
        child = os.fork()
        last = rng.randrange(800)
        if not child:
            kill_at_line(last)
            for i in count():
                train(SweepLedger(folder), f"run {i % 3}", good=i % 2 == 0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        read = read_entries(folder)
        names = [entry.name for entry in read.entries]
        assert not read.left_out, read.left_out
        assert len(names) == len(set(names)) <= 3, names
    for i in range(3):
        train(SweepLedger(folder), f"run {i}", good=True)
    print(len(list(folder.glob(".*.tmp"))), "unfinished")


def on_a_host(folder: Path, host: str, runs: int, umask: int, seconds: float) -> None:
    """Train runs in a process with its own umask and clock; every reading must be whole."""
    os.umask(umask)
    right = time.time
    time.time = lambda: right() + seconds
    for i in range(runs):
        ledger = SweepLedger(folder)
        record = train(ledger, f"{host} {i}", good=i % 2 == 0)
        os.utime(ledger.path(record.entry.name), (time.time(), time.time()))
        assert not ledger.read().left_out


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "kill":
        killed_at_any_moment(Path(folder), int(rest[0]), int(rest[1]))
    else:
        on_a_host(Path(folder), rest[0], int(rest[1]), int(rest[2], 8), float(rest[3]))
