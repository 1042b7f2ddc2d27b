"""Sweeps with a known link between the first steps of a run and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.configuration import CONTEXT_TERMS
from grokpredict.features.metrics import METRIC_TERMS
from grokpredict.features.signal import feature_names
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.classifier import GrokClassifier, Looks
from grokpredict.model.familiarity import Familiar
from grokpredict.model.reading import WINDOW_READS, Reader
from grokpredict.model.trees import Trees
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.labels import LabelRule
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


def hand_made(
    *,
    scores: Mapping[tuple[bool, int], np.ndarray] | None = None,
    reach: float = 1e9,
    grids: tuple[tuple[int, int], ...] = ((200, 1), (400, 1), (400, 10)),
    validated_scores: Mapping[tuple[bool, int], np.ndarray] | None = None,
) -> GrokClassifier:
    """A classifier to calculate by hand: 0.1 up to a budget of 1000 steps, 0.9 above it.

    With a configuration it is 0.2 and 0.8. Loss features beyond ``reach`` are strange. With
    ``validated_scores`` it also reads validation metrics: 0.7 while the validation loss ends
    within a decade of the training loss, 0.3 above that; 0.75 and 0.25 with a configuration.
    """
    names = WINDOW_COLUMNS
    n_loss = len(feature_names())
    wide = np.full((len(grids), n_loss), reach)
    budget, gap = names.index("log10_budget"), names.index("val_loss_gap")
    trees = (
        one_split(budget, 3.0, np.log(1 / 9), np.log(9)),
        one_split(budget, 3.0, np.log(1 / 4), np.log(4)),
        one_split(gap, 1.0, np.log(7 / 3), np.log(3 / 7)),
        one_split(gap, 1.0, np.log(3), np.log(1 / 3)),
    )
    of_model = (scores or {},) * 2 + (validated_scores,) * 2
    models = zip(WINDOW_READS, trees, of_model, strict=True)
    return GrokClassifier(
        grids=grids,
        rule=LabelRule(),
        budget=4000,
        settings=SignalSettings(),
        familiar=Familiar(
            centre=np.zeros_like(wide),
            scale=np.ones_like(wide),
            low=-wide,
            high=wide,
            precision=np.eye(n_loss),
            limit=np.array([1e300]),
            context_low=np.full(len(CONTEXT_TERMS), -9.0),
            context_high=np.full(len(CONTEXT_TERMS), 9.0),
            budget_high=np.array([5.0, 3.0]),
            metric_low=np.full(len(METRIC_TERMS), -5.0),
            metric_high=np.full(len(METRIC_TERMS), 5.0),
        ),
        readers=tuple(
            Reader(reads, trees, {s: low for (told, s), low in known.items() if told == i % 2})
            for i, (reads, trees, known) in enumerate(models)
            if known is not None
        ),
    )


def read(classifier: GrokClassifier, looks: Looks, name: str) -> list[bool]:
    """Whether each look read a channel, or the configuration."""
    return [name in classifier.readers[i].reads for i in looks.reader]
