"""What is measured of a run while it trains, and what is kept of it when it is over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grokpredict.runs.labels import LabelRule
from grokpredict.sweeps.config import RunConfig

#: By generation: the training loss is kept at every step up to here, then like everything at
#: evaluations.
DENSE_STEPS = {1: 3200, 2: 1600}
#: By generation: a run whose last so many evaluations meet the threshold has generalised for good.
SETTLED = {1: 8, 2: 4}
#: Mean squared error at or under which a regression on targets of variance 1 has generalised.
REGRESSION_LEVEL = 0.05

EVALUATED = ("train_acc", "val_loss", "val_acc", "weight_norm", "grad_norm")


@dataclass(frozen=True, eq=False)
class Record:
    """One finished run of the generator.

    Attributes
    ----------
    config : RunConfig
        As it was asked for.
    train_size, n_parameters : int
        Samples trained on and trainable parameters.
    n_steps : int
        Updates made: the budget, or fewer when the run generalised for good or diverged.
    train_loss : ndarray, shape (n_dense,)
        At every step up to :data:`DENSE_STEPS` of them.
    steps : ndarray of int, shape (n_evaluations,)
        Where it was evaluated, the last time at ``n_steps``.
    evaluations : dict of str to ndarray, shape (n_evaluations,)
        ``train_loss`` and :data:`EVALUATED` at ``steps``, each before the update; NaN where there
        was none.
    """

    config: RunConfig
    train_size: int
    n_parameters: int
    n_steps: int
    train_loss: NDArray[np.float32]
    steps: NDArray[np.int64]
    evaluations: dict[str, NDArray[np.float32]]

    def hparams(self) -> dict[str, object]:
        """Return the configuration with what follows from it, ready for JSON."""
        derived: dict[str, object] = {
            "train_size": self.train_size,
            "n_parameters": self.n_parameters,
            "batch_size": self.config.batch_size or self.train_size,
            "full_batch": self.config.batch_size == 0,
        }
        return {**self.config.to_dict(), **derived}


def label_rule(*, regression: bool) -> LabelRule:
    """Return when a run has generalised: an accuracy of 0.95, or R^2 = 0.95 of a regression."""
    return LabelRule("val_loss", REGRESSION_LEVEL) if regression else LabelRule()


@dataclass(frozen=True, eq=False)
class Curves:
    """What has been measured of one run so far.

    Attributes
    ----------
    dense : list of ndarray
        Training losses, between one evaluation step and the next.
    evaluations : dict of str to list of float
        ``train_loss`` and :data:`EVALUATED`.
    """

    dense: list[NDArray[np.float32]] = field(default_factory=list)
    evaluations: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in ("train_loss", *EVALUATED)}
    )

    def is_decided(self, rule: LabelRule, settled: int) -> bool:
        """Return whether the run diverged, or met the rule ``settled`` times in a row."""
        losses = self.evaluations["train_loss"]
        if losses and not math.isfinite(losses[-1]):
            return True
        metric = self.evaluations[rule.metric][-settled:]
        return len(metric) == settled and bool(rule.met(np.array(metric)).all())

    def record(
        self,
        config: RunConfig,
        *,
        train_size: int,
        n_parameters: int,
        n_steps: int,
        grid: Sequence[int],
    ) -> Record:
        """Return the finished run, evaluated at the first steps of ``grid``."""
        width = max(len(values) for values in self.evaluations.values())
        padded = {
            name: np.array(values + [math.nan] * (width - len(values)), dtype=np.float32)
            for name, values in self.evaluations.items()
        }
        return Record(
            config,
            train_size,
            n_parameters,
            n_steps,
            np.concatenate(self.dense) if self.dense else np.empty(0, dtype=np.float32),
            np.array(grid, dtype=np.int64)[:width],
            padded,
        )
