"""Sweeps with a known link between the first steps of a run and what becomes of it."""

from __future__ import annotations

import numpy as np

from grokpredict.curves import Context, Curve, Run, Sweep


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
    t4 = planned * 10 ** (-0.6 * told) / 1.0
    evaluated = np.arange(0, planned, 50)
    accuracy = np.where(evaluated >= t4, 0.99, 0.1)
    rate = 10.0 ** rng.uniform(-4, -2)
    hparams = {"lr": rate, "weight_decay": 0.1, "configuration": configuration, "seed": seed}
    if family is not None:
        hparams["family"] = family
    own = slice(stride - 1, None, stride)
    return Run(
        channels={
            "train_loss": Curve(t[own], loss[own]),
            "val_acc": Curve(evaluated, accuracy),
        },
        context=Context(optimizer="adamw", learning_rate=rate, weight_decay=0.1),
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
