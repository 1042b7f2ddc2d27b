"""What a ledger has lost and saved so far, as its audited runs tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.live.entry import Entry, LedgerError
from grokpredict.live.ledger import SweepLedger, read_entries
from grokpredict.live.standing import ALARM_LEVEL, Alarm, Standing, seen_good
from grokpredict.model.betting import lost_interval
from grokpredict.model.thresholds import check_max_false_abort, runs_needed_in_expectation
from grokpredict.runs.run import REPETITION_KEYS
from grokpredict.runs.sweep import LeftOut
from grokpredict.training.ranking import Interval

#: A number that takes more values than this is split into two halves.
_VALUES = 4


@dataclass(frozen=True)
class Account:
    """What some runs of a ledger lost and saved.

    Attributes
    ----------
    runs : str
        Which: all, or those with a value of the configuration.
    n : int
        How many.
    good, doomed, stopped, open : int
        How many generalised, were seen not to by their budget, were stopped, and have no known
        end: they train, were killed, or ended early.
    at_risk : int
        Good runs that were looked at before they generalised, under the sweep's own threshold.
    caught : int
        Those of them that a verdict would have lost, seen since they are audited, or since the
        ledger only warned.
    lost : Interval
        Share of good runs that verdicts lose, where one that is audited stands for 1 / share, with
        a confidence sequence: both ends hold with 95 %, however often one looks.
    saved : int
        Steps of doomed runs that were not trained. What the audit says of good runs among those
        that were stopped is taken off.
    trained : int
        Steps of all runs that were.
    audit_cost : int
        Steps of doomed runs that were trained on after an abort, only since they are audited.
    """

    runs: str
    n: int
    good: int
    doomed: int
    stopped: int
    open: int
    at_risk: int
    caught: int
    lost: Interval
    saved: int
    trained: int
    audit_cost: int

    @property
    def saved_share(self) -> float | None:
        """Steps saved, as a share of all that would have been trained."""
        whole = self.saved + self.trained
        return self.saved / whole if whole else None


@dataclass(frozen=True)
class Audit:
    """What :func:`audit` found.

    Attributes
    ----------
    max_false_abort : float
        Largest share of good runs that may be lost.
    total : Account
        Of all runs.
    axes : tuple of Account
        Of the runs with each value of what differs between their configurations.
    audited : int
        Runs that are never stopped.
    calibrated, needed : int
        Good configurations that the threshold rests on, and how many it takes to stop runs.
    alarm : Alarm or None
        Why the ledger only warns, whatever has finished.
    left_out : tuple of LeftOut
        Files that are no entry.
    """

    max_false_abort: float
    total: Account
    axes: tuple[Account, ...]
    audited: int
    calibrated: int
    needed: int
    alarm: Alarm | None
    left_out: tuple[LeftOut, ...]

    @property
    def stops(self) -> bool:
        """Whether a run that begins now may be stopped."""
        return self.alarm is None and self.calibrated >= self.needed

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain Python objects."""
        return {**asdict(self), "stops": self.stops, "saved_share": self.total.saved_share}


def audit(ledger: str | Path | SweepLedger, max_false_abort: float | None = None) -> Audit:
    """Say what a ledger has lost and saved so far, and whether it may go on.

    Parameters
    ----------
    ledger : str, Path or SweepLedger
        Or its folder.
    max_false_abort : float, optional
        Largest share of good runs that may be lost; by default that of its newest run.

    Raises
    ------
    LedgerError
        If there is no entry in the folder.
    OSError
        If there is no such folder.
    """
    folder = ledger.folder if isinstance(ledger, SweepLedger) else Path(ledger)
    read = read_entries(folder)
    if not read.entries:
        raise LedgerError(
            f"a ledger must hold at least one run, {str(folder)!r} holds none; give the folder to "
            "GrokPredictor(ledger=...) or GrokMonitor(ledger=...) and train"
        )
    bound = read.entries[-1].max_false_abort if max_false_abort is None else max_false_abort
    check_max_false_abort(bound)
    standing = Standing.of(read.entries, bound)
    return Audit(
        max_false_abort=bound,
        total=_account("all runs", read.entries),
        axes=tuple(_account(name, part) for name, part in _by_axis(read.entries)),
        audited=sum(entry.audited for entry in read.entries),
        calibrated=max((scores.size for scores in standing.scores.values()), default=0),
        needed=runs_needed_in_expectation(bound),
        alarm=standing.alarm,
        left_out=read.left_out,
    )


def _account(name: str, entries: Sequence[Entry]) -> Account:
    ends = [entry.end for entry in entries]
    at_risk = seen_good(entries)
    caught = [entry for entry in at_risk if entry.aborted is not None]
    stopped = [entry for entry in entries if entry.end == "stopped"]
    untrained = sum(entry.budget - (entry.aborted or entry.last_step) for entry in stopped)
    # Beside an audited good run with an abort, so many like it were stopped.
    beside = sum((1 / entry.seen - 1) * (entry.budget - (entry.aborted or 0)) for entry in caught)
    cost = sum(
        entry.last_step - entry.aborted
        for entry in entries
        if entry.end == "not by budget" and entry.stops and entry.aborted is not None
    )
    return Account(
        runs=name,
        n=len(entries),
        good=ends.count("generalised"),
        doomed=ends.count("not by budget"),
        stopped=len(stopped),
        open=ends.count(None) + ends.count("ended early"),
        at_risk=len(at_risk),
        caught=len(caught),
        lost=_lost(at_risk),
        saved=max(0, round(untrained - beside)),
        trained=sum(entry.last_step for entry in entries),
        audit_cost=cost,
    )


def _lost(at_risk: Sequence[Entry]) -> Interval:
    if not at_risk:
        return Interval(None, None, None)
    lost = np.array([entry.aborted is not None for entry in at_risk], dtype=np.bool_)
    seen = np.array([entry.seen for entry in at_risk])
    stood_for = np.where(lost, 1 / seen, 1.0)
    low, high = lost_interval(lost, seen, ALARM_LEVEL)
    return Interval(float(stood_for[lost].sum() / stood_for.sum()), low, high)


def _by_axis(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the runs with each value of what differs between their configurations."""
    names = dict.fromkeys(name for entry in entries for name in entry.configuration)
    for name in names:
        if name.lower() in REPETITION_KEYS:
            continue
        values = [entry.configuration.get(name) for entry in entries]
        label = _label_of(values)
        parts: dict[str, list[Entry]] = {label(value): [] for value in sorted(values, key=_order)}
        for entry, value in zip(entries, values, strict=True):
            parts[label(value)].append(entry)
        if len(parts) > 1:
            yield from ((f"{name} {part}", members) for part, members in parts.items())


def _label_of(values: Sequence[Any]) -> Callable[[Any], str]:
    """Return what says in words to which part of its axis a value belongs."""
    numbers = sorted({value for value in values if _is_number(value)})
    if len({repr(value) for value in values}) <= _VALUES or len(numbers) < 2:
        return lambda value: f"= {_short(value)}"
    # The lower of the two in the middle, so that some lie on either side of it.
    middle = numbers[(len(numbers) - 1) // 2]

    def half(value: Any) -> str:
        if not _is_number(value):
            return f"= {_short(value)}"
        return f"<= {middle:.4g}" if value <= middle else f"> {middle:.4g}"

    return half


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _order(value: Any) -> tuple[bool, bool, Any]:
    """Numbers first, and what is not known last."""
    return value is None, not _is_number(value), value if _is_number(value) else str(value)


def _short(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4g}" if type(value) is float else str(value)[:20]
