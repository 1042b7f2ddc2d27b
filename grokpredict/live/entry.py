"""What a ledger holds of one run: its looks, whether it is audited, and how it ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

from grokpredict._util.errors import GrokpredictError
from grokpredict.model.channels import Reads
from grokpredict.model.verdict import Action
from grokpredict.runs.run import REPETITION_KEYS

End = Literal["generalised", "not by budget", "stopped", "ended early"]

#: Goes into every file; another format is refused and not guessed at.
FORMAT = "grokpredict ledger 1"


class LedgerError(GrokpredictError):
    """A file of a ledger that is no entry, or a ledger that cannot serve."""


@dataclass(frozen=True)
class LookTaken:
    """One look at a run.

    Attributes
    ----------
    step : int
        Steps that were looked at.
    action : {"continue", "abort", "abstain"}
        What the probability and the threshold say, whatever came of it.
    probability, threshold : float or None
        As in :class:`~grokpredict.model.verdict.Verdict`.
    reads : tuple of str
        Channels that were read.
    """

    step: int
    action: Action
    probability: float | None = None
    threshold: float | None = None
    reads: Reads = ()


@dataclass(frozen=True)
class Entry:
    """One run in a ledger.

    Attributes
    ----------
    name : str
        Of the run; no two have the same.
    number : int
        One more than that of any run that this one could read when it began.
    budget : int
        Step by which it has to generalise.
    max_false_abort : float
        Largest share of good runs that it allows to be lost.
    configuration : mapping
        What is known of it before its first step.
    audited : bool
        Whether it is never stopped, whatever the verdict.
    share : float
        Of runs that are audited, in (0, 1].
    calibrated : bool
        Whether the threshold is that of enough good runs of this sweep, and not a built-in one.
    stops : bool
        Whether an abort stops a run like this that is not audited; else it only warns.
    looks : tuple of LookTaken
        In order.
    last_step : int
        Steps that it has trained as far as is known.
    end : {"generalised", "not by budget", "stopped", "ended early"} or None
        None while it trains, and for ever where it was killed.
    ended : int or None
        One more than that of any run whose end this one could read at its own.
    t4 : int or None
        Step at which it generalised.
    """

    name: str
    number: int
    budget: int
    max_false_abort: float
    configuration: Mapping[str, Any] = field(default_factory=dict)
    audited: bool = False
    share: float = 1.0
    calibrated: bool = False
    stops: bool = False
    looks: tuple[LookTaken, ...] = ()
    last_step: int = 0
    end: End | None = None
    ended: int | None = None
    t4: int | None = None

    @property
    def good(self) -> bool:
        """Whether it generalised by its budget."""
        return self.end == "generalised"

    @property
    def seen(self) -> float:
        """Probability with which the end of a run like this is seen if a verdict is abort."""
        return self.share if self.stops else 1.0

    @property
    def free(self) -> bool:
        """Whether no verdict could stop it: it is audited, or an abort only warned."""
        return self.audited or not self.stops

    @cached_property
    def judged(self) -> tuple[LookTaken, ...]:
        """Looks that gave a probability before the run generalised."""
        before = self.budget if self.t4 is None else self.t4
        return tuple(
            look for look in self.looks if look.probability is not None and look.step < before
        )

    @property
    def reads(self) -> Reads:
        """Channels that the last of the looks that were :attr:`judged` read."""
        return self.judged[-1].reads if self.judged else ()

    @property
    def lowest(self) -> float | None:
        """The lowest probability of the looks that read these channels; None if there is none."""
        looks = (look for look in self.judged if look.reads == self.reads)
        return min(
            (look.probability for look in looks if look.probability is not None), default=None
        )

    @property
    def at_risk(self) -> bool:
        """Whether a look could have said abort by the threshold of this sweep."""
        return self.calibrated and any(look.threshold is not None for look in self.judged)

    @property
    def aborted(self) -> int | None:
        """Step of the first look that said abort."""
        return next((look.step for look in self.judged if look.action == "abort"), None)

    @property
    def configuration_key(self) -> str:
        """Digest of the configuration without the seed; of the name where nothing is known."""
        settings = {
            key: value
            for key, value in self.configuration.items()
            if str(key).lower() not in REPETITION_KEYS
        }
        text = json.dumps(settings or self.name, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def looked(self, look: LookTaken) -> Entry:
        """Return the entry with one look more; one at the same step or later is taken again."""
        before = tuple(taken for taken in self.looks if taken.step < look.step)
        return replace(self, looks=(*before, look), last_step=max(self.last_step, look.step))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in plain Python objects."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        looks = [
            {item.name: getattr(look, item.name) for item in fields(look)}
            | {"reads": list(look.reads)}
            for look in self.looks
        ]
        return {
            "format": FORMAT,
            **plain,
            "configuration": dict(self.configuration),
            "looks": looks,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Entry:
        """Make an entry of what :meth:`to_dict` returned and a file held.

        Raises
        ------
        LedgerError
            If a value is missing or impossible, or the format is another.
        """
        if document.get("format") != FORMAT:
            raise LedgerError(f"an entry must be of the format {FORMAT!r}")
        looks = document.get("looks")
        if not isinstance(looks, list):
            raise LedgerError("an entry must have a list of looks")
        values = {name: _checked(document, name, rule) for name, rule in _ENTRY.items()}
        taken = [
            {name: _checked(look, name, rule) for name, rule in _LOOK.items()} for look in looks
        ]
        return cls(
            **values,
            looks=tuple(LookTaken(**{**look, "reads": tuple(look["reads"])}) for look in taken),
        )


def _checked(document: Any, name: str, rule: Callable[[Any], bool]) -> Any:
    value = document.get(name) if isinstance(document, Mapping) else None
    if not rule(value):
        raise LedgerError(f"the {name} of an entry cannot be {str(value)[:40]!r}")
    return value


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _or_none(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


#: What a value of an entry, and of a look, must be.
_ENTRY: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str),
    "number": _count,
    "budget": _count,
    "max_false_abort": lambda value: _share(value) and 0 < value < 1,
    "configuration": lambda value: isinstance(value, dict),
    "audited": lambda value: isinstance(value, bool),
    "share": lambda value: _share(value) and value > 0,
    "calibrated": lambda value: isinstance(value, bool),
    "stops": lambda value: isinstance(value, bool),
    "last_step": _count,
    "end": _or_none(lambda value: value in get_args(End)),
    "ended": _or_none(_count),
    "t4": _or_none(_count),
}
_LOOK: dict[str, Callable[[Any], bool]] = {
    "step": _count,
    "action": lambda value: value in get_args(Action),
    "probability": _or_none(_share),
    "threshold": _or_none(_share),
    "reads": lambda value: isinstance(value, list) and all(isinstance(n, str) for n in value),
}
