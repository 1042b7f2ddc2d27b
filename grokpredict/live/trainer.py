"""What a Lightning trainer tells of a run: its steps, where it ends, whether it may end.

Duck-typed, so that it serves both namespaces of Lightning and imports neither.
"""

from __future__ import annotations

import math
from typing import Any

from grokpredict.live.plain import plain


def optimises(pl_module: Any) -> bool:
    """Whether Lightning optimises the module (``automatic_optimization``).

    A property of the user's is asked once, at the start of a fit; Lightning asks it at every batch.
    """
    held = plain(pl_module, "_automatic_optimization")
    kind = next(k for k in type(pl_module).__mro__ if "automatic_optimization" in vars(k))
    if isinstance(held, bool) and "lightning" in kind.__module__:
        return held
    return bool(pl_module.automatic_optimization)


def read_budget(trainer: Any, automatic: bool, steps: int | None, n_seen: int) -> int | str:
    """Return how many losses the whole run will give, or a sentence if that is not known.

    Parameters
    ----------
    trainer
        Of either Lightning, during a fit.
    automatic : bool
        Whether Lightning optimises.
    steps : int or None
        The budget that the user gave, in Lightning's count of optimiser steps.
    n_seen : int
        Losses seen so far. Manual optimisation may step several optimisers for one loss, or
        none; the run so far tells how often.
    """
    batches = _planned_batches(trainer)
    if automatic:
        by_epochs = batches
        steps_per_loss = 1.0
    else:
        seen = max(n_seen, 1)
        by_epochs = batches * (n_seen / max(trainer.fit_loop.total_batch_idx + 1, 1) or 1.0)
        steps_per_loss = max(trainer.global_step, seen) / seen
    if steps is not None:
        return max(1, int(steps / steps_per_loss))
    limit = trainer.max_steps
    by_steps = limit / steps_per_loss if limit is not None and limit != -1 else math.inf
    known = min(by_epochs, by_steps)
    if math.isinf(known):
        return (
            "the number of steps that this run will make is not known, so nothing is stopped; "
            "give Trainer(max_steps=...) or GrokPredictor(budget=...)"
        )
    return max(1, int(known))


def can_stop(trainer: Any) -> bool:
    """Whether the trainer's ``min_steps`` and ``min_epochs`` are met.

    Before that Lightning goes on whatever ``should_stop`` says, and nags about it.
    """
    return bool(
        trainer.global_step >= (trainer.min_steps or 0)
        and trainer.current_epoch >= (trainer.min_epochs or 0)
    )


def never_stops(trainer: Any) -> str | None:
    """Return a sentence, if ``min_steps`` or ``min_epochs`` keep the fit going to its end."""
    for unit in ("steps", "epochs"):
        least, most = getattr(trainer, f"min_{unit}"), getattr(trainer, f"max_{unit}")
        if least and most not in (None, -1) and least >= most:
            return (
                f"nothing is stopped, for min_{unit} = {least} and max_{unit} = {most} keep the "
                f"fit going to its end; lower min_{unit} to save steps"
            )
    return None


def _planned_batches(trainer: Any) -> float:
    """Return Lightning's ``estimated_stepping_batches``, but for ``max_steps``; may be infinite."""
    if trainer.max_epochs in (None, -1):
        return math.inf
    batches = trainer.num_training_batches
    if math.isinf(batches):
        return math.inf
    # An epoch's last accumulation window may be short: it makes a step of its own.
    return float(math.ceil(batches / trainer.accumulate_grad_batches) * max(trainer.max_epochs, 1))
