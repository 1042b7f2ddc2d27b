"""The signature of Notsawo et al. 2023 word for word, on the runs of the maps."""

from __future__ import annotations

import numpy as np
from runs import EXPERIMENTS, WINDOW
from sklearn.metrics import roc_auc_score

from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import outcome
from grokpredict.runs.run import Run

RESAMPLES = 1000


def signature(loss: FloatArray, degree: int) -> tuple[float, float]:
    """Return energy and sqrt(m4 / m2) of a loss without its mean (0) or straight line (1)."""
    steps = np.arange(len(loss))
    rest = loss - np.polyval(np.polyfit(steps, loss, degree), steps)
    power = np.abs(np.fft.rfft(rest)) ** 2
    omega = 2 * np.pi * np.fft.rfftfreq(len(loss))
    m2, m4 = (float((power * omega**k).sum()) for k in (2, 4))
    return float((rest**2).sum()), float(np.sqrt(m4 / m2))


def row(run: Run) -> tuple[float, ...] | None:
    """Return the outcome, both signatures and the learning rate; None where it is not judged."""
    result = outcome(run)
    good = result.by(run.max_steps) if result else None
    loss = run.loss.values[run.loss.steps < WINDOW]
    early = result is not None and result.t4 is not None and result.t4 <= WINDOW
    if good is None or early or len(loss) < WINDOW or not np.isfinite(loss).all():
        return None
    told = (*signature(loss, 0), *signature(loss, 1))
    return (float(good), *told, run.configuration.learning_rate)


def signatures() -> None:
    """Print the AUROC of each, with 95 % bootstrap intervals over runs."""
    names = ("energy, mean removed", "sqrt(m4 / m2), mean removed", "energy, line removed",
             "sqrt(m4 / m2), line removed", "learning rate")  # fmt: skip
    print("## The paper's signature\n")
    for experiment in ("map-mlp", "map-transformer"):
        table = np.array([r for run in EXPERIMENTS[experiment].runs() if (r := row(run))])
        good = table[:, 0]
        print(f"{experiment}: {int(good.sum())} of {len(good)}")
        rng = np.random.default_rng(0)
        for name, values in zip(names, table.T[1:], strict=True):
            drawn = []
            for _ in range(RESAMPLES):
                k = rng.integers(0, len(good), len(good))
                if 0 < good[k].sum() < len(good):
                    drawn.append(roc_auc_score(good[k], values[k]))
            low, high = np.quantile(drawn, [0.025, 0.975])
            print(f"  {name}: {roc_auc_score(good, values):.2f} ({low:.2f} to {high:.2f})")
    print()
