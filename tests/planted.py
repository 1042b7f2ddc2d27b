"""Sweeps with a known link between the first steps of a run and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.trees import Trees
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep


def planted_run(
    rng: np.random.Generator,
    *,
    signal: float,
    configuration: int,
    seed: int,
    steps: int = 500,
    planned: int = 4000,
    stride: int = 1,
    family: str | None = None,
) -> Run:
    """A run whose loss oscillates, and the more so the sooner it generalises.

    With ``signal`` 0 the oscillation says nothing about the outcome. The learning rate says
    nothing about it in either case.
    """
    strength = rng.uniform(-1, 1)
    told = signal * strength + (1 - signal) * rng.uniform(-1, 1)
    t = np.arange(steps)
    wave = 0.02 * 10**strength * np.sin(2 * np.pi * t / 12 + rng.uniform(0, 6))
    noise = 0.005 * rng.standard_normal(steps)
    loss = (3.0 * np.exp(-t / 150) + 0.1) * (1 + wave + noise)
    # By this law half of the runs generalise within the planned budget, after the windows.
    t4 = planned * 10 ** (-0.6 * told)
    evaluated = np.arange(0, planned, 50)
    accuracy = np.where(evaluated >= t4, 0.99, 0.1)
    rate = 10.0 ** np.random.default_rng(configuration).uniform(-4, -2)
    hparams = {"lr": rate, "weight_decay": 0.1, "configuration": configuration, "seed": seed}
    if family is not None:
        hparams["family"] = family
    own = slice(stride - 1, None, stride)
    return Run(
        channels={
            "train_loss": Curve(t[own], loss[own]),
            "val_acc": Curve(evaluated, accuracy),
        },
        configuration=Configuration(optimizer="adamw", learning_rate=rate, weight_decay=0.1),
        hparams=hparams,
        max_steps=planned,
        name=f"run {configuration}/{seed}",
    )


def planted_sweep(
    n_configurations: int,
    *,
    signal: float = 1.0,
    repetitions: int = 1,
    seed: int = 0,
    families: tuple[str, ...] = (),
    **options: int,
) -> Sweep:
    rng = np.random.default_rng(seed)
    return Sweep(
        [
            planted_run(
                rng,
                signal=signal,
                configuration=configuration,
                seed=repetition,
                family=families[configuration % len(families)] if families else None,
                **options,
            )
            for configuration in range(n_configurations)
            for repetition in range(repetitions)
        ]
    )


def one_split(column: int, threshold: float, low: float, high: float) -> Trees:
    """A tree with two leaves: log-odds ``low`` up to the threshold, ``high`` above it."""
    return Trees(
        root=np.array([0]),
        feature=np.array([column, 0, 0]),
        threshold=np.array([threshold, 0.0, 0.0]),
        left=np.array([1, 1, 2]),
        right=np.array([2, 1, 2]),
        missing_left=np.array([True, False, False]),
        value=np.array([0.0, low, high]),
        baseline=np.array([0.0]),
    )


#: Octaves from the look to the budget at which :func:`hand_made` changes its mind.
TURN = 2.0


def hand_made(
    scores: Mapping[Reads, np.ndarray] | None = None, *, reach: float = 1e9
) -> GrokClassifier:
    """A classifier to calculate by hand: 0.1 up to a budget of four times the look, 0.9 above it.

    Parameters
    ----------
    scores : mapping of tuple of str to ndarray, optional
        Lowest scores of good runs, by the channels read.
    reach : float
        Columns beyond it are unlike the training runs.
    """
    far = np.full(len(COLUMNS), float(reach))
    budget = COLUMNS.index(BUDGET_COLUMN)
    far[budget] = min(reach, 10.0)
    return GrokClassifier(
        trees=one_split(budget, TURN, np.log(1 / 9), np.log(9)),
        calibrations={reads: Calibration(np.sort(own)) for reads, own in (scores or {}).items()},
        low=-far,
        high=far,
    )
