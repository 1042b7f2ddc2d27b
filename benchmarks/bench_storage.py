"""What fewer bits of a stored curve do to the features, beside what another seed does to them.

    python benchmarks/bench_storage.py [--sweeps FOLDER] [--every N]

Each shard repeats four of its configurations with another seed. The curves, stored to 12 bits of
the mantissa, are rounded to fewer; for every column of the loss features and every window, the
root mean square of what the rounding changes is divided by the root mean square of half the squared
difference between the two seeds. Printed: the median and the largest of these ratios over columns.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.signal import extract, feature_names
from grokpredict.logs import read_bundle
from grokpredict.logs.mantissa import round_mantissa
from grokpredict.runs.curve import UnsuitableRunError, check_window
from grokpredict.runs.run import Run, window

BITS = (5, 6, 7, 8, 9, 10)
PAIRS = ((400, 1), (800, 1), (1600, 1), (3200, 1), (3200, 50))
CONFIGURATIONS, RUNS = 20, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=Path, default=Path("data/sweeps"))
    parser.add_argument("--every", type=int, default=8, help="take every so many shards")
    args = parser.parse_args()
    first, second = repeated(sorted(args.sweeps.glob("*.npz"))[:: args.every])
    print(f"{len(first)} configurations with two seeds\n")
    print("| bits | window | stride | median | largest | column |")
    print("| ---: | ---: | ---: | ---: | ---: | --- |")
    for horizon, stride in PAIRS:
        both = [k for k in range(len(first)) if serves((first[k], second[k]), horizon, stride)]
        if len(both) < 20:
            continue
        a, b = ([runs[k] for k in both] for runs in (first, second))
        exact = columns(a, horizon, stride)
        spread = rms(exact - columns(b, horizon, stride)) / np.sqrt(2)
        for bits in BITS:
            ratio = rms(columns(a, horizon, stride, bits) - exact) / spread
            ratio = np.where(np.isfinite(ratio), ratio, 0.0)
            worst = feature_names()[int(ratio.argmax())]
            print(
                f"| {bits} | {horizon} | {stride} | {np.median(ratio):.3f} | {ratio.max():.3f} "
                f"| {worst} |"
            )


def repeated(paths: Sequence[Path]) -> tuple[list[Run], list[Run]]:
    """Return the runs whose configuration a shard repeats, and their repeats."""
    first, second = [], []
    for path in paths:
        runs = read_bundle(path).runs
        if len(runs) == RUNS:
            first += runs[: RUNS - CONFIGURATIONS]
            second += runs[CONFIGURATIONS:]
    return first, second


def serves(runs: Sequence[Run], horizon: int, stride: int) -> bool:
    try:
        for run in runs:
            check_window(run.loss, horizon, stride)
    except UnsuitableRunError:
        return False
    return True


def columns(
    runs: Sequence[Run], horizon: int, stride: int, bits: int | None = None
) -> NDArray[np.float64]:
    losses = window(runs, horizon, stride)
    if bits is not None:
        losses = np.asarray(round_mantissa(losses, bits), dtype=losses.dtype)
    return np.asarray(extract(losses, SignalSettings()), dtype=np.float64)


def rms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.nanmean(values**2, axis=0)), dtype=np.float64)


if __name__ == "__main__":
    main()
