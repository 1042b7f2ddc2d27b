"""From a probability to a verdict, under a bound on the good runs that may be lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from grokpredict._util.lazy import reporting
from grokpredict.features.columns import COLUMNS
from grokpredict.features.metrics import Evaluations
from grokpredict.features.profile import LOOKS, PROFILED
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.forecast import Steps, generalisation_steps, look_steps
from grokpredict.model.looks import LookModel, only
from grokpredict.model.reading import VALIDATION, Reads
from grokpredict.model.thresholds import calibration_runs_needed
from grokpredict.runs.configuration import Configuration
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
        Channels that the look read, where :func:`judge_look` took it.
    every : int or None
        Steps between two evaluations on average, where the look read validation.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", tuple(self.reads))  # JSON makes a list of it

    def __repr__(self) -> str:
        return f"<Verdict: {summary(self)}>"

    def _repr_html_(self) -> str:
        return str(reporting().verdict_html(self))


def judge_look(
    model: LookModel,
    levels: FloatArray,
    look: int,
    *,
    reads: Reads,
    budget: int,
    max_false_abort: float = 0.05,
) -> Verdict:
    """Decide on one look at whatever channels a run has.

    Parameters
    ----------
    model : LookModel
        Of the classifier.
    levels : ndarray, shape (n_channels, N_LEVELS)
        The profiles at this look.
    look : int
        Number of the look, which is at ``LOOKS[look]``, before the budget.
    reads : tuple of str
        Channels to read, the same at all looks at a run: those of
        :func:`~grokpredict.model.looks.read_by` at its first.
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
    """
    step = int(LOOKS[look])
    missing = [name for name in reads if np.isnan(levels[PROFILED.index(name), 0])]
    if missing or not reads:
        what = " and ".join(missing) or "any channel"
        reason = (
            f"no sample of {what} since step {int(LOOKS[look - 1])}; look skipped"
            if look
            else f"too few samples of {what} by step {step}; look skipped"
        )
        return Verdict("continue", reason, step, budget, reads=reads)
    seen = model.look(only(levels[None], reads), LOOKS[[look]], np.array([float(budget)]))
    chance = float(seen.probability[0])
    limit = model.threshold(reads, max_false_abort)
    action, reason = _decide_look(model, seen.stranger[0], chance, limit, step, reads, budget)
    row = zip(COLUMNS, seen.columns[0].tolist(), strict=True)
    even, early, median, late = (None,) * 4
    if action != "abstain":
        even, early, median, late = _whole_steps(look_steps(model, seen, step, budget))
    return Verdict(
        even_step=even,
        median_step=median,
        early_step=early,
        late_step=late,
        action=action,
        reason=reason,
        horizon=step,
        budget=budget,
        probability=chance,
        threshold=limit,
        features={name: value for name, value in row if np.isfinite(value)},
        reads=reads,
    )


def _decide_look(
    model: LookModel,
    stranger: str | None,
    chance: float,
    limit: float | None,
    step: int,
    reads: Reads,
    budget: int,
) -> tuple[Action, str]:
    """Return the action and its reason."""
    if stranger is not None:
        return "abstain", f"{stranger[0].upper()}{stranger[1:]}."
    says = f"After {step} steps, P(generalises by {budget}) = {100 * chance:.1f} %"
    if limit is None:
        if not set(reads) & set(VALIDATION):
            why = (
                "nothing is stopped without a validation loss or accuracy; log one, or calibrate "
                "on finished runs of your own"
            )
        else:
            why = f"nothing is stopped: {model.n_calibration(reads)} good runs set the threshold"
        return "continue", f"{says}; {why}."
    if chance < limit:
        return "abort", f"{says}, below the abort threshold of {100 * limit:.1f} %."
    return "continue", f"{says}; the abort threshold is {100 * limit:.1f} %."


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

    >>> reads = ("train_loss", "val_loss", "val_acc")
    >>> read_and_missing(Verdict("continue", "", 800, 6000, reads=reads, every=100))
    'read: train_loss, val_loss, val_acc (every 100 steps); missing: train_acc, weight_norm'
    """
    names = sorted(verdict.reads, key=lambda name: name in VALIDATION)
    cadence = f" (every {verdict.every} steps)" if verdict.every else ""
    missing = [name for name in PROFILED if name not in verdict.reads]
    text = f"read: {', '.join(names) or 'nothing'}{cadence}"
    return f"{text}; missing: {', '.join(missing)}" if missing else text


def judge(
    classifier: GrokClassifier,
    losses: ArrayLike,
    *,
    horizon: int,
    stride: int = 1,
    configuration: Configuration | None = None,
    budget: int,
    max_false_abort: float = 0.05,
    evaluations: Evaluations | None = None,
) -> Verdict:
    """Look at one run and decide.

    Parameters
    ----------
    classifier : GrokClassifier
        Fitted on runs like this one.
    losses : array, shape (horizon // stride,)
        Training loss of the first ``horizon`` steps, every ``stride`` steps.
    horizon, stride : int
        One of the classifier's, see :meth:`GrokClassifier.horizons_on`.
    configuration : Configuration, optional
        What is known of the configuration.
    budget : int
        Step by which the run would have to generalise, beyond the horizon.
    max_false_abort : float
        Largest share of the generalising runs that may be lost, with 95 % confidence.
    evaluations : Evaluations, optional
        Validation metrics so far, read where the classifier knows them and they
        :meth:`~grokpredict.features.metrics.Evaluations.serve`.

    Returns
    -------
    Verdict
        Abstain if the loss is not finite or the run is unlike the training runs. Continue, with
        the reason, if there are too few calibration runs to ever abort.

    Raises
    ------
    UnsuitableRunError
        If the classifier does not know the horizon or the grid.
    ValueError
        If the shape, the budget or ``max_false_abort`` is impossible.
    """
    looks = classifier.look(
        np.asarray(losses, dtype=float)[None],
        horizon=horizon,
        stride=stride,
        configurations=[configuration],
        budget=budget,
        evaluations=[evaluations],
    )
    reader = classifier.readers[looks.reader[0]]
    threshold = reader.threshold(stride, max_false_abort)
    chance = float(looks.probability[0])
    action, reason = _decide(
        chance,
        threshold,
        stranger=looks.stranger[0],
        look=f"After {horizon} steps, P(generalises by {budget})",
        max_false_abort=max_false_abort,
        n_calibration=reader.n_calibration(stride),
    )
    even, early, median, late = (None,) * 4
    if action != "abstain":
        even, early, median, late = _whole_steps(generalisation_steps(classifier, looks))
    row = zip(classifier.feature_names, looks.features[0].tolist(), strict=True)
    return Verdict(
        action=action,
        reason=reason,
        horizon=horizon,
        budget=budget,
        probability=chance if np.isfinite(chance) else None,
        threshold=threshold,
        features={name: value for name, value in row if np.isfinite(value)},
        even_step=even,
        median_step=median,
        early_step=early,
        late_step=late,
    )


def _whole_steps(steps: Steps) -> tuple[int | None, ...]:
    """Return the even step of the first look, and its quartiles if it generalises at all."""
    numbers = [steps.within[0, 1], *steps.if_at_all[0]]
    return tuple(round(float(step)) if np.isfinite(step) else None for step in numbers)


def _decide(
    chance: float,
    threshold: float | None,
    *,
    stranger: str | None,
    look: str,
    max_false_abort: float,
    n_calibration: int,
) -> tuple[Action, str]:
    """Return the action and its reason."""
    if stranger is not None:
        return "abstain", stranger
    if threshold is None:
        needed = calibration_runs_needed(max_false_abort)
        return "continue", (
            f"{look} = {_percent(chance, 1)}. Never aborts at max_false_abort {max_false_abort:g}: "
            f"{n_calibration} of the {needed} good runs that the classifier needs for it."
        )
    # As many digits as it takes to see on which side of the threshold the probability is.
    digits = next((d for d in range(1, 6) if _differ(chance, threshold, d)), 6)
    probability, limit = _percent(chance, digits), _percent(threshold, digits)
    if chance < threshold:
        return "abort", (
            f"{look} = {probability}, below the abort threshold of {limit} "
            f"(set to lose at most {100 * max_false_abort:.4g} % of good runs)."
        )
    return "continue", f"{look} = {probability}; the abort threshold is {limit}."


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f} %"


def _differ(one: float, other: float, digits: int) -> bool:
    return one == other or _percent(one, digits) != _percent(other, digits)
