"""What the first process decides for all: every process takes part, whatever fails in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from grokpredict.live.guard import described
from grokpredict.live.lightning.report import Report


@dataclass(frozen=True)
class Ending:
    """What becomes of an abort.

    Attributes
    ----------
    kind : {"stop", "wait", "go on"}
        The fit ends, or goes on until it may end, or goes on for good.
    message : str
        For people.
    """

    kind: Literal["stop", "wait", "go on"]
    message: str


@dataclass(frozen=True)
class Answer:
    """What was decided at a look, or while an abort waits.

    Attributes
    ----------
    error : str or None
        What failed in the first process; nothing is decided then.
    verdicts : tuple of dict
        The new ones, in plain Python objects.
    due : int or None
        Steps until the next look; None if there is none.
    ending : Ending or None
        What becomes of an abort.
    """

    error: str | None = None
    verdicts: tuple[dict[str, Any], ...] = ()
    due: int | None = None
    ending: Ending | None = None


def agreed(trainer: Any, decide: Callable[[], Answer], report: Report) -> Answer:
    """Return what the first process decides; all of them must call this at the same step.

    Two machines may differ in the last digit, and something may fail in one of them only: the
    others wait here, so nothing that is called before may raise.
    """
    try:
        answer = decide()
    except Exception as failure:  # told to the other processes, which wait for the answer
        answer = Answer(error=described(failure))
        report.trace("the look failed", failure)
    if trainer.world_size == 1:
        return answer
    first: Answer = trainer.strategy.broadcast(answer, src=0)
    return first
