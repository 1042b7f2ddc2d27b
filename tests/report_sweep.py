"""A small sweep of both outcomes, with names that try to be HTML."""

from __future__ import annotations

from dataclasses import replace

from short_runs import run

from grokpredict.runs.run import Run
from grokpredict.runs.sweep import LeftOut, Sweep

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
RUNS = 16


def report_sweep() -> Sweep:
    """Sixteen runs over learning rate, weight decay and activation; one file that was not read."""
    runs = [_placed(i, run(1000 + i)) for i in range(RUNS)]
    return Sweep(runs, [LeftOut("bad.csv", f"{HOSTILE} has no loss")])


def _placed(i: int, short: Run) -> Run:
    settings = {
        "lr": 1e-4 * 10 ** (i % 3),
        "weight_decay": 0.1 * (i % 4),
        "activation": ["relu", "gelu", HOSTILE][i % 3],
        "seed": i,
    }
    configuration = replace(
        short.configuration, learning_rate=settings["lr"], weight_decay=settings["weight_decay"]
    )
    return replace(
        short,
        name=HOSTILE if i == 7 else f"run {i}",
        configuration=configuration,
        hparams={**short.hparams, **settings},
    )
