"""Short runs whose first steps tell what becomes of them, and a classifier that learnt it.

Loss curves are made, not trained: what is under test is what is done with a curve. The classifier
is trained by the real code on such curves.
"""

from __future__ import annotations

import functools

import numpy as np

from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep
from grokpredict.training.gathering import train

HORIZONS = (40, 80)
BUDGET = 400
LR, WEIGHT_DECAY = 1e-3, 0.1


def curve(strength: float, seed: int, steps: int = BUDGET) -> np.ndarray:
    """A loss that oscillates with ``strength``, from 0 to 1."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    wave = 0.3 * strength * np.sin(2 * np.pi * t / rng.uniform(8, 14) + rng.uniform(0, 6))
    noise = 0.01 * rng.standard_normal(steps)
    loss = (3.0 * np.exp(-t / 40) + 0.1) * (1 + wave + noise)
    # As a float32 loss of a network has it.
    return loss.astype(np.float32).astype(float)


def run(seed: int) -> Run:
    """The stronger a run oscillates, the more likely it generalises."""
    # Not the generator of the curve, whose first draw is the period.
    rng = np.random.default_rng([seed, 1])
    strength = rng.uniform()
    good = rng.uniform() < np.clip((strength - 0.35) / 0.3, 0, 1)
    loss = curve(strength, seed)
    evaluated = np.arange(0, BUDGET, 20)
    accuracy = np.where(evaluated >= (200 if good else np.inf), 0.99, 0.1)
    return Run(
        channels={
            "train_loss": Curve(np.arange(loss.size), loss),
            "val_acc": Curve(evaluated, accuracy),
        },
        configuration=Configuration(optimizer="adamw", learning_rate=LR, weight_decay=WEIGHT_DECAY),
        hparams={"lr": LR, "weight_decay": WEIGHT_DECAY, "configuration": seed},
        max_steps=BUDGET,
        name=f"run {seed}",
    )


@functools.cache
def short_classifier() -> GrokClassifier:
    sweep = Sweep([run(seed) for seed in range(440)])
    classifier, _ = train(sweep, horizons=HORIZONS, strides=(1, 2))
    return classifier
