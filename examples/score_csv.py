"""
Score a logged run
==================

Look at a run that was logged: the same as ``grokpredict score loss.csv``, from Python.

::

    python examples/score_csv.py loss.csv [--classifier FILE] [--budget 10000]

Without a file it makes up a run.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from grokpredict import score
from grokpredict.reporting import score_text


def made_up(path: Path) -> Path:
    steps = np.arange(1000)
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal(steps.size)
    loss = (3 * np.exp(-steps / 100) + 0.01) * noise
    np.savetxt(path, np.column_stack([steps, loss]), "%.8g", ",", header="step,loss", comments="")
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--budget", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or made_up(Path(folder) / "loss.csv")
        scored = score(path, arguments.classifier, budget=arguments.budget)
    print(scored)
    print(score_text([scored]))


if __name__ == "__main__":
    main()
