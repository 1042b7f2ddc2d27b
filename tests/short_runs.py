"""Short runs whose level of the training loss tells what becomes of them, and a classifier of it.

Loss curves are made, not trained: what is under test is what is done with a curve.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from look_models import looking

from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.training.record import fingerprint

#: Looks before the budget; each is taken after one step more.
LOOKS = (200, 282)
BUDGET = 400
LR, WEIGHT_DECAY = 1e-3, 0.1


def curve(strength: float, seed: int, steps: int = BUDGET) -> np.ndarray:
    """A loss that ends the higher and oscillates the more, the larger ``strength``, from 0 to 1."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    wave = 0.3 * strength * np.sin(2 * np.pi * t / rng.uniform(8, 14) + rng.uniform(0, 6))
    noise = 0.01 * rng.standard_normal(steps)
    loss = (3.0 * np.exp(-t / 40) + 10 ** (strength - 2)) * (1 + wave + noise)
    # As a float32 loss of a network has it.
    return loss.astype(np.float32).astype(float)


def run(seed: int) -> Run:
    """The higher the level of its loss, the more likely a run generalises."""
    # Not the generator of the curve, whose first draw is the period.
    rng = np.random.default_rng([seed, 1])
    strength = rng.uniform()
    good = rng.uniform() < np.clip((strength - 0.35) / 0.3, 0, 1)
    loss = curve(strength, seed)
    evaluated = np.arange(0, BUDGET, 20)
    accuracy = np.where(evaluated >= (300 if good else np.inf), 0.99, 0.1)
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
    """P < 0.02 for the lowest levels, > 0.98 for the highest; its file knows seeds below 60."""
    classifier = looking("train_loss_level", np.linspace(-1.3, -1.15, 4))
    return replace(
        classifier,
        card={"trained_on": sorted(fingerprint(run(seed).configuration_key) for seed in range(60))},
    )
