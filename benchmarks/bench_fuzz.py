"""Damage logs of every format a thousand times: how many are read, refused, or fail unforeseen.

Run with ``python benchmarks/bench_fuzz.py [COPIES] [SEED]``. A traceback is a fault of ours, and so
is a run that is left out as "it cannot be read: SomeError", without a sentence of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")

import fuzzing

from grokpredict.logs import read_sweep
from grokpredict.logs.errors import LogError


def main() -> None:
    """Print a line for each format, and the unforeseen failures."""
    copies, seed = (int(word) for word in (*sys.argv[1:3], *("300", "0")[len(sys.argv) - 1 :]))
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(seed)
    failures: Counter[str] = Counter()
    print(f"{'format':<22}  {'copies':>6}  {'read':>6}  {'refused':>7}  {'unforeseen':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for name, log in fuzzing.whole_logs(Path(folder)).items():
            counts: Counter[str] = Counter()
            with tempfile.TemporaryDirectory() as target:
                for _, place in fuzzing.damaged(log, Path(target), copies, rng):
                    try:
                        sweep = read_sweep(place)
                    except LogError:
                        counts["refused"] += 1
                        continue
                    reasons = [left.reason for left in sweep.left_out]
                    odd = [reason for reason in reasons if reason.startswith("it cannot be read")]
                    failures.update(f"{name}: {reason}" for reason in odd)
                    counts["unforeseen" if odd else "refused" if reasons else "read"] += 1
            numbers = "  ".join(
                f"{counts[key]:>{width}}"
                for key, width in (("read", 6), ("refused", 7), ("unforeseen", 10))
            )
            print(f"{name:<22}  {copies:>6}  {numbers}", flush=True)
    for reason, number in failures.most_common():
        print(f"{number:>6}  {reason}")


if __name__ == "__main__":
    main()
