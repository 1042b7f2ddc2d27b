"""One run's part in a ledger while it trains: what holds for it, and what it writes."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grokpredict.live.entry import End, Entry, LookTaken
from grokpredict.live.ledger import SweepLedger
from grokpredict.live.outcome import OutcomeSoFar
from grokpredict.live.standing import Standing, Terms
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads
from grokpredict.model.verdict import Verdict, decided_by
from grokpredict.runs.labels import NEVER_ENDS, LabelRule, Outcome

log = logging.getLogger(__name__)

#: Letters that are kept of a value.
_LONGEST = 80


class RunRecord:
    """Takes the looks at one run and its evaluations, and decides as its sweep has learned.

    Parameters
    ----------
    ledger : SweepLedger
        Is read once, here. Its file of this run is written at every look and at the end.
    name : str or None
        Of the run, by which a resumed one is known again; by default a random one, which a
        checkpoint keeps.
    budget : int
        Step by which the run has to generalise.
    max_false_abort : float
        Largest share of good runs that may be lost.
    rule : LabelRule
        What it takes to have generalised.
    calibrations : mapping of tuple of str to Calibration
        The classifier's scores, by the channels that a look reads.
    configuration : mapping, optional
        What is known of the run before its first step; plain values of any kind.
    only_warns : str, optional
        Why no abort stops this run, if none does.
    """

    def __init__(
        self,
        ledger: SweepLedger,
        name: str | None,
        *,
        budget: int,
        max_false_abort: float,
        rule: LabelRule,
        calibrations: Mapping[Reads, Calibration],
        configuration: Mapping[str, Any] | None = None,
        only_warns: str | None = None,
    ) -> None:
        self.ledger = ledger
        self._calibrations = calibrations
        self._only_warns = only_warns
        self._standing = Standing.of(ledger.read().entries, max_false_abort)
        self._outcome = OutcomeSoFar(rule)
        name = f"run-{secrets.token_hex(8)}" if name is None else name
        self.entry = Entry(
            name,
            self._standing.number,
            budget,
            max_false_abort,
            as_plain(configuration or {}),
            audited=ledger.audits(name),
            share=ledger.audit,
        )

    def terms(self, reads: Reads) -> Terms:
        """Return what holds for this run if its looks read these channels."""
        terms = self._standing.terms(reads, self._calibrations.get(reads))
        return terms if self._only_warns is None else replace(terms, warns=self._only_warns)

    def take(self, verdict: Verdict, *, settled: bool = True) -> Verdict:
        """Take what a look found, and return what comes of it.

        Parameters
        ----------
        verdict : Verdict
            By the classifier alone.
        settled : bool
            Whether later looks read the same channels. If not, the verdict stays as it is: a
            threshold is for all looks that read the same.

        Returns
        -------
        Verdict
            By the threshold of the sweep. An abort that must not stop the run, since it is audited,
            the ledger only warns, or its file cannot be written, is a continue with the reason; so
            the looks go on, and calibration learns how low a good run can score.
        """
        terms = None
        if settled and verdict.probability is not None and verdict.action != "abstain":
            terms = self.terms(verdict.reads)
            verdict = decided_by(verdict, terms.threshold, terms.source)
        self.entry = replace(
            self.entry.looked(_look(verdict)),
            budget=verdict.budget,
            calibrated=self.entry.calibrated if terms is None else terms.calibrated,
            stops=self.entry.stops if terms is None else terms.warns is None,
        )
        spared = None if terms is None else terms.warns
        if verdict.action != "abort":
            self._write()
            return verdict
        if spared is None and self.entry.audited:
            spared = f"this run is audited, as {100 * self.entry.share:.4g} % of all are"
        before = self.entry
        if spared is None:
            self._end("stopped")
        if not self._write() and spared is None:
            # Nothing may be stopped that the audit does not know of.
            self.entry, spared = before, "its ledger cannot be written"
        if spared is None:
            return verdict
        reason = f"{verdict.reason} Not stopped: {spared}."
        return replace(verdict, action="continue", reason=reason, spared=spared)

    def evaluated(self, step: int, value: float) -> None:
        """Take the metric of the rule after so many steps; note the outcome once it is known."""
        self._outcome.take(step, value)
        end = self._end_of(self._outcome.so_far())
        if end is not None and end != self.entry.end:
            self.finish(step)

    def finish(self, step: int, *, diverged: bool = False) -> None:
        """Write how the run ended.

        Parameters
        ----------
        step : int
            Steps that it trained.
        diverged : bool
            Whether its loss is not finite any more, from which no run comes back.
        """
        outcome = Outcome(None, NEVER_ENDS) if diverged else self._outcome.at_end()
        end = self._end_of(outcome)
        if outcome is not None and end == "generalised":
            self.entry = replace(self.entry, t4=outcome.t4)
        if end is not None or self.entry.end is None:
            self._end(end or "ended early")
        self.entry = replace(self.entry, last_step=max(self.entry.last_step, int(step)))
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, in plain Python objects."""
        return {"entry": self.entry.to_dict(), "outcome": self._outcome.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as the run that made ``state``: under its name, audited if that one was."""
        self.entry = Entry.from_dict(state["entry"])
        self._outcome.load_state_dict(state["outcome"])

    def _end_of(self, outcome: Outcome | None) -> End | None:
        """Return the end that an outcome means; None while it is not known."""
        by_budget = None if outcome is None else outcome.by(self.entry.budget)
        if by_budget is None:
            return None
        return "generalised" if by_budget else "not by budget"

    def _end(self, end: End) -> None:
        if end != self.entry.end:
            ended = 1 + max((entry.ended or 0 for entry in self.ledger.read().entries), default=0)
            self.entry = replace(self.entry, end=end, ended=ended)

    def _write(self) -> bool:
        """Write the file; return whether it could be."""
        try:
            self.ledger.write(self.entry)
        except (OSError, ValueError) as error:
            log.warning("grokpredict: the ledger cannot be written: %s", error)
            return False
        return True


def as_plain(configuration: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Return a configuration in plain values; what is none, in the first letters of its JSON.

    No method of an object of the user's is called.

    >>> as_plain({"lr": 0.1, "betas": (0.9, 0.98), "wd": float("inf"), "net": object()})
    {'lr': 0.1, 'betas': '[0.9, 0.98]', 'wd': 'Infinity', 'net': '"object"'}
    """
    plain: dict[str, str | int | float | bool | None] = {}
    for name, value in configuration.items():
        if type(value) in (int, bool, type(None)) or (
            type(value) is float and math.isfinite(value)
        ):
            plain[str(name)] = value
            continue
        text = value if type(value) is str else json.dumps(value, default=_kind)
        # Two long values that begin alike are two.
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        plain[str(name)] = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... {digest}"
    return plain


def _kind(value: Any) -> str:
    return type(value).__name__


def _look(verdict: Verdict) -> LookTaken:
    assert verdict.horizon is not None
    judged = verdict.action != "abstain"
    chance = verdict.probability if judged else None
    return LookTaken(verdict.horizon, verdict.action, chance, verdict.threshold, verdict.reads)
