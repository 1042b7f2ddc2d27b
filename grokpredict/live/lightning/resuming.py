"""Whether a fit can be watched: from its start, or from the checkpoint that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grokpredict.live.monitor import check_state as check_monitor_state
from grokpredict.live.trainer import read_budget

#: What the callback's part of a checkpoint holds.
_STATE: Mapping[str, type | tuple[type, ...]] = {
    "monitor": dict,
    "step": (int, type(None)),
    "complete": bool,
    "micro": list,
    "divided": int,
    "held": (int, type(None)),
    "stopped_step": (int, type(None)),
    "overruled": (int, type(None)),
    "stopping_reason": str,
    "max_false_abort": float,
    "message": (str, type(None)),
}


def check_state(state: Any) -> None:
    """Raise a ValueError if the callback's part of a checkpoint is not as it was written."""
    if isinstance(state, dict) and state:
        wrong = [name for name, kind in _STATE.items() if not isinstance(state.get(name), kind)]
    else:
        wrong = [] if state == {} else ["all of it"]
    if wrong:
        raise ValueError(
            f"the checkpoint's part of grokpredict cannot be read ({', '.join(wrong)}); it was "
            "written by another version, or damaged"
        )
    if state:
        check_monitor_state(state["monitor"])


def why_not_watched(trainer: Any, state: Mapping[str, Any] | None) -> str | None:
    """Return why this fit cannot be watched; None if it can.

    Parameters
    ----------
    trainer
        Of either Lightning, at the start of the fit.
    state : mapping or None
        The callback's part of the checkpoint that the fit goes on from, if it does.
    """
    if trainer.fast_dev_run:
        return "fast_dev_run is on, nothing is looked at"
    if state and not state["complete"]:
        return (
            "the checkpoint was written while the processes stood at different steps and "
            "holds the losses of one of them only; nothing is stopped"
        )
    if state and state["step"] is None:
        if state["monitor"]["verdicts"]:
            return None
        return (
            "this fit goes on from one whose losses were not kept, so nothing is looked at; "
            f"of that one it was said: {state['message'] or 'nothing'}"
        )
    if trainer.global_step != (state["step"] if state else 0):
        return (
            f"this fit goes on from step {trainer.global_step} without the losses of the "
            "steps before, and a run must be watched from its start; nothing is stopped"
        )
    return None


def planned_budget(
    trainer: Any, automatic: bool, budget: int | None, state: Mapping[str, Any] | None
) -> int | str:
    """Return the budget, or a sentence if it is not known; it is one number for all looks.

    Parameters
    ----------
    trainer
        Of either Lightning, at the start of the fit.
    automatic : bool
        Whether Lightning optimises.
    budget : int or None
        The budget that the user gave.
    state : mapping or None
        As :func:`why_not_watched`.
    """
    if state and state["monitor"]["verdicts"]:
        return int(state["monitor"]["budget"])
    n_seen = int(state["monitor"]["n_seen"]) if state else 0
    return read_budget(trainer, automatic, budget, n_seen)
