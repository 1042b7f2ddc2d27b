"""Look at a run that was logged: the same as ``grokpredict score loss.csv``, from Python.

    python examples/score_csv.py loss.csv [--classifier FILE] [--budget 10000]

Without a file a run is made up.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from grokpredict import load_classifier, read_run, score_run


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
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = told.file or made_up(Path(folder) / "loss.csv")
        score = score_run(read_run(path), load_classifier(told.classifier), budget=told.budget)
    print(score)


if __name__ == "__main__":
    main()
