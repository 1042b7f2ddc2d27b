"""
Learn from your own sweep
=========================

Learn from your own finished runs, then judge the next one by what was learned.

::

    python examples/train_on_own_sweep.py SWEEPS [-o my.npz]

``SWEEPS`` is a folder of logs, searched recursively. The first part is what
``grokpredict train-classifier SWEEPS -o my.npz`` does.
"""

import argparse
from pathlib import Path

from grokpredict import read_sweep, score, train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sweeps", type=Path)
    parser.add_argument("-o", "--output", type=Path, default="my.npz")
    parser.add_argument("--max-false-abort", type=float, default=0.05)
    arguments = parser.parse_args()
    sweep = read_sweep(arguments.sweeps)
    classifier, report = train(sweep)
    classifier.save(arguments.output)
    print(f"{report.counts.generalised} runs generalised, {report.counts.not_generalised} did not")
    for reads, n_good in report.calibration.items():
        print(f"{reads}: the threshold rests on {n_good} configurations that generalised")

    # One run of the sweep again, as if it had just been logged. GrokPredictor takes the file too.
    found = score(sweep.runs[0], arguments.output, max_false_abort=arguments.max_false_abort)
    for verdict in found.looks:
        print(f"step {verdict.horizon}: {verdict.action}: {verdict.reason}")


if __name__ == "__main__":
    main()
