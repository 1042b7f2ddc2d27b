"""Do the diagnostics predict? Columns of norm and gradient beside those of loss and accuracy.

    python benchmarks/bench_diagnose.py

Runs of data/sweeps at looks after 400 and 1 600 steps. A family of tasks at a time is left out,
gradient-boosted trees learn from the others, and the AUROC is within that family, as a mean over
families with 5 good and 5 doomed runs. Weight norm, gradient norm and norm clock are in these logs;
curvature and cosines are not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from grokpredict.diagnosis.clock import decay_rate
from grokpredict.logs import read_sweep
from grokpredict.runs.labels import outcome
from grokpredict.runs.run import Run

LOOKS = (400, 1600)
PLAIN = ("train_loss", "val_loss", "train_acc", "val_acc")
NORMS = ("weight_norm", "grad_norm")


def levels(run: Run, names: tuple[str, ...], look: int) -> list[float]:
    """Return log of the last value and of its ratios to a half and to the first."""
    found = []
    for name in names:
        curve = run.channels.get(name)
        if curve is None:
            found += [np.nan] * 3
            continue
        at = np.interp([0, look / 2, look], curve.steps, curve.values)
        if name.endswith("acc"):
            found += [at[2], at[2] - at[1], at[2] - at[0]]
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.log(at)
                found += [logs[2], logs[2] - logs[1], logs[2] - logs[0]]
    return found


def rows(runs: list[Run], look: int) -> tuple[np.ndarray, ...]:
    plain, norms, clocks, good, families = [], [], [], [], []
    for run in runs:
        result, budget = outcome(run), run.max_steps
        label = result.by(budget) if result and budget else None
        over = run.last_step < look or (result is not None and (result.t4 or look + 1) <= look)
        if label is None or over:
            continue
        rate = decay_rate(run.configuration)
        plain.append([look / budget, *levels(run, PLAIN, look)])
        norms.append(levels(run, NORMS, look))
        clocks.append([np.nan if rate is None else rate * (budget - look)])
        good.append(label)
        families.append(run.hparams["family"])
    return tuple(np.array(each) for each in (plain, norms, clocks, good, families))


def main() -> None:
    runs = list(read_sweep([Path(__file__).parents[1] / "data" / "sweeps"]).runs)
    for look in LOOKS:
        plain, norms, clocks, good, families = rows(runs, look)
        print(f"look at {look}: {len(good)} runs, {int(good.sum())} good")
        columns = {
            "loss and accuracy": plain,
            "and norms": np.hstack([plain, norms]),
            "and the norm clock": np.hstack([plain, clocks]),
            "and both": np.hstack([plain, norms, clocks]),
            "norms alone": norms,
            "norm clock alone": clocks,
        }
        for name, table in columns.items():
            table[~np.isfinite(table)] = np.nan
            areas = []
            for family in np.unique(families):
                out = families == family
                if min(good[out].sum(), (~good[out]).sum()) < 5:
                    continue
                model = HistGradientBoostingClassifier(max_iter=100, max_depth=4, random_state=0)
                chance = model.fit(table[~out], good[~out]).predict_proba(table[out])[:, 1]
                areas.append(roc_auc_score(good[out], chance))
            print(f"  {name}: {np.mean(areas):.3f} (worst family {min(areas):.2f})", flush=True)


if __name__ == "__main__":
    main()
