"""From a probability to a verdict, under a bound on the good runs that may be lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from grokpredict._util.lazy import reporting
from grokpredict.features.columns import COLUMNS
from grokpredict.features.profile import LOOKS
from grokpredict.model.channels import READABLE, VALIDATION, Reads, may_stop, only, read_by
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.forecast import Steps, generalisation_steps
from grokpredict.model.thresholds import calibration_runs_needed, runs_needed_in_expectation
from grokpredict.runs.curve import FloatArray

Action = Literal["continue", "abort", "abstain"]


@dataclass(frozen=True)
class Verdict:
    """What one look at a run decided.

    Attributes
    ----------
    action : {"continue", "abort", "abstain"}
        Abstain means that the run cannot be judged, and is left alone.
    reason : str
        One sentence for people.
    horizon : int or None
        Steps that were looked at; None when no horizon was reached.
    budget : int
        The step by which the run would have to generalise.
    probability : float or None
        P(generalises by ``budget`` | the first ``horizon`` steps).
    threshold : float or None
        Runs below it are stopped; None when the classifier never aborts.
    features : mapping of str to float
        What the probability was computed from.
    even_step : int or None
        Step by which the run generalises with probability 1/2; None where the training runs were
        not watched for long enough to tell.
    median_step, early_step, late_step : int or None
        If the run generalises by ``budget``, the steps by which it does with the probabilities
        1/2, 1/4 and 3/4.
    reads : tuple of str
        Channels that the look read, where it was judged.
    every : int or None
        Steps between two evaluations on average, where the look read validation.
    spared : str or None
        Why a run below the threshold is not stopped, where the ledger of its sweep says so.
    """

    action: Action
    reason: str
    horizon: int | None
    budget: int
    probability: float | None = None
    threshold: float | None = None
    features: Mapping[str, float] = field(default_factory=dict, repr=False)
    even_step: int | None = None
    median_step: int | None = None
    early_step: int | None = None
    late_step: int | None = None
    reads: tuple[str, ...] = ()
    every: int | None = None
    spared: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", tuple(self.reads))  # JSON makes a list of it

    def __repr__(self) -> str:
        return f"<Verdict: {summary(self)}>"

    def _repr_html_(self) -> str:
        return str(reporting().verdict_html(self))

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain Python objects, from which ``Verdict(**...)`` makes it again."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**plain, "features": dict(self.features), "reads": list(self.reads)}

    def metrics(self, prefix: str = "grokpredict") -> dict[str, float]:
        """Return the look as numbers, for a logger of metrics.

        Parameters
        ----------
        prefix : str
            Before the names.

        Returns
        -------
        dict of str to float
            ``probability`` and ``threshold`` where there is one, and ``verdict``: 1 for continue,
            0 for abstain, -1 for abort.

        Examples
        --------
        >>> Verdict("abort", "", 800, 6000, probability=0.029, threshold=0.046).metrics("g")
        {'g/verdict': -1.0, 'g/probability': 0.029, 'g/threshold': 0.046}
        """
        numbers = {
            "verdict": _NUMBERS[self.action],
            "probability": self.probability,
            "threshold": self.threshold,
        }
        return {f"{prefix}/{name}": n for name, n in numbers.items() if n is not None}


#: Verdicts in a logger that takes numbers alone.
_NUMBERS: Mapping[Action, float] = {"continue": 1.0, "abstain": 0.0, "abort": -1.0}


def judge(
    classifier: GrokClassifier,
    columns: FloatArray,
    look: int,
    *,
    reads: Reads,
    budget: int,
    max_false_abort: float = 0.05,
) -> Verdict:
    """Decide on one look at a run.

    Parameters
    ----------
    classifier : GrokClassifier
        Fitted on runs like this one.
    columns : ndarray, shape (n_columns,)
        Of :meth:`grokpredict.features.recording.Recording.columns`, at this look and budget.
    look : int
        Number of the look, which is at ``LOOKS[look]``, before the budget.
    reads : tuple of str
        Channels to read, the same at all looks at a run.
    budget : int
        Step by which the run would have to generalise.
    max_false_abort : float
        Largest share of the generalising runs that may be lost.

    Returns
    -------
    Verdict
        Continue, with the reason, where a channel is missing at this look, where nothing that is
        read tells of validation, or where too few good runs set the threshold. Abstain where the
        run is unlike the training runs.

    Raises
    ------
    ValueError
        If the budget does not lie beyond the look.
    """
    step = int(LOOKS[look])
    (there,) = read_by(columns[None])
    missing = [channel for channel in reads if channel not in there]
    if missing or not reads:
        what = " and ".join(missing) or "any channel"
        reason = (
            f"No sample of {what} since step {int(LOOKS[look - 1])}; look skipped."
            if look
            else f"Too few samples of {what} by step {step}; look skipped."
        )
        return Verdict("continue", reason, step, budget, reads=reads)
    looks = classifier.look(only(columns[None], reads))
    chance = float(looks.probability[0])
    limit = classifier.threshold(reads, max_false_abort, step)
    action, reason = _decide(
        classifier, looks.unlike[0], chance, limit, step, reads, budget, max_false_abort
    )
    even, early, median, late = (None,) * 4
    if action != "abstain":
        steps = generalisation_steps(classifier, looks, LOOKS[[look]])
        even, early, median, late = _whole_steps(steps)
    row = zip(COLUMNS, looks.columns[0].tolist(), strict=True)
    return Verdict(
        action=action,
        reason=reason,
        horizon=step,
        budget=budget,
        probability=chance,
        threshold=limit,
        features={name: value for name, value in row if np.isfinite(value)},
        even_step=even,
        median_step=median,
        early_step=early,
        late_step=late,
        reads=reads,
    )


def decided_by(verdict: Verdict, threshold: float | None, source: str) -> Verdict:
    """Return a verdict with the same probability by another threshold.

    Parameters
    ----------
    verdict : Verdict
        With a probability; an abstention stays one.
    threshold : float or None
        Runs below it are stopped; None if none are.
    source : str
        Where the threshold comes from, for people.
    """
    chance = verdict.probability
    if chance is None or verdict.action == "abstain":
        return verdict
    says = (
        f"After {verdict.horizon} steps, P(generalises by {verdict.budget}) = {100 * chance:.1f} %"
    )
    action: Action = "continue"
    if threshold is None:
        says = f"{says}; there is no abort threshold yet."
    elif chance < threshold:
        action = "abort"
        says = f"{says}, below the abort threshold of {100 * threshold:.1f} % ({source})."
    else:
        says = f"{says}; the abort threshold is {100 * threshold:.1f} % ({source})."
    return replace(verdict, action=action, reason=says, threshold=threshold)


def summary(verdict: Verdict) -> str:
    """Return a verdict in a few words.

    >>> summary(Verdict("abort", "", 800, 6000, probability=0.0294, threshold=0.0461))
    'abort after 800 steps, P(generalises by 6000) = 2.9 %, threshold 4.6 %'
    """
    if verdict.horizon is None:
        return f"{verdict.action} without a look"
    text = f"{verdict.action} after {verdict.horizon} steps"
    if verdict.probability is not None:
        text += f", P(generalises by {verdict.budget}) = {100 * verdict.probability:.1f} %"
        if verdict.threshold is not None:
            text += f", threshold {100 * verdict.threshold:.1f} %"
    return text


def read_and_missing(verdict: Verdict) -> str:
    """Return which channels a look read, and which the run did not have.

    >>> reads = ("train_loss", "val_loss", "val_acc", "spectrum")
    >>> print(read_and_missing(Verdict("continue", "", 800, 6000, reads=reads, every=100)))
    read: train_loss, spectrum, val_loss, val_acc (every 100 steps); missing: train_acc, weight_norm
    """
    names = sorted(verdict.reads, key=lambda name: name in VALIDATION)
    cadence = f" (every {verdict.every} steps)" if verdict.every else ""
    missing = [name for name in READABLE if name not in verdict.reads]
    text = f"read: {', '.join(names) or 'nothing'}{cadence}"
    return f"{text}; missing: {', '.join(missing)}" if missing else text


def _whole_steps(steps: Steps) -> tuple[int | None, ...]:
    """Return the even step of the first look, and its quartiles if it generalises at all."""
    numbers = [steps.within[0, 1], *steps.if_at_all[0]]
    return tuple(round(float(step)) if np.isfinite(step) else None for step in numbers)


def _decide(
    classifier: GrokClassifier,
    unlike: str | None,
    chance: float,
    threshold: float | None,
    step: int,
    reads: Reads,
    budget: int,
    max_false_abort: float,
) -> tuple[Action, str]:
    """Return the action and its reason."""
    if unlike is not None:
        return "abstain", f"{unlike[0].upper()}{unlike[1:]}."
    look = f"After {step} steps, P(generalises by {budget})"
    if threshold is None:
        why = _why_never(classifier, step, reads, max_false_abort)
        return "continue", f"{look} = {_percent(chance, 1)}{why}."
    # As many digits as it takes to see on which side of the threshold the probability is.
    digits = next((d for d in range(1, 6) if _differ(chance, threshold, d)), 6)
    probability, limit = _percent(chance, digits), _percent(threshold, digits)
    if chance < threshold:
        bound = classifier.calibrations[reads].promise(max_false_abort)
        return "abort", f"{look} = {probability}, below the abort threshold of {limit} ({bound})."
    return "continue", f"{look} = {probability}; the abort threshold is {limit}."


def _why_never(classifier: GrokClassifier, step: int, reads: Reads, max_false_abort: float) -> str:
    """Say what keeps a look from stopping a run, and the remedy."""
    if may_stop(reads) or classifier.n_calibration(reads):
        return (
            f". Never aborts at max_false_abort {max_false_abort:g}: "
            f"{classifier.n_calibration(reads)} of the {calibration_runs_needed(max_false_abort)} "
            "good runs that the classifier needs for it"
        )
    if step < classifier.first_step(reads):
        return (
            "; nothing is stopped by the training loss before step "
            f"{classifier.first_step(reads)}, by which your calibrating runs had validation metrics"
        )
    n_user = classifier.n_user(reads)
    if n_user:
        missing = runs_needed_in_expectation(max_false_abort) - n_user
        return f"; nothing is stopped without a validation metric: {missing} good runs are missing"
    return (
        "; nothing is stopped without a validation loss or accuracy; log one, or calibrate on "
        "finished runs of your own"
    )


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f} %"


def _differ(one: float, other: float, digits: int) -> bool:
    return one == other or _percent(one, digits) != _percent(other, digits)
