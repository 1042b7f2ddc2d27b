"""A diagnosis in plain sentences, each with the numbers that it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from grokpredict.diagnosis.clock import NormClock
from grokpredict.diagnosis.run import RunDiagnosis
from grokpredict.diagnosis.trajectory import BEFORE, Slingshot
from grokpredict.runs.labels import Phase, rule_of

if TYPE_CHECKING:
    from grokpredict.diagnosis.curvature import Curvature
    from grokpredict.diagnosis.network import Diagnosis

WIDTH = 96
#: Slingshots whose steps are listed.
SHOWN_STEPS = 8


def run_diagnosis_text(found: RunDiagnosis) -> str:
    """Return what the logs say, and what a checkpoint would add."""
    lines = [
        *run_sentences(found),
        "A checkpoint would add curvature, slices of the landscape and the intrinsic dimension "
        "(--checkpoint, --module).",
    ]
    return "\n".join([_heading(found), *lines])


def diagnosis_text(found: Diagnosis) -> str:
    """Return what logs and network say."""
    lines = [*run_sentences(found.of_run), *_network_sentences(found)]
    return "\n".join([_heading(found.of_run), *lines])


def _heading(found: RunDiagnosis) -> str:
    times = found.times
    if found.phase is Phase.GROKKING:
        what = f"grokked: it generalised {found.delay} steps after it had memorised"
    elif found.phase is Phase.COMPREHENSION:
        what = f"generalised by step {times.t4}, without a long delay"
    elif found.phase is Phase.MEMORISATION:
        what = f"memorised, and had not generalised by step {found.budget}"
    elif found.phase is Phase.CONFUSION:
        what = f"neither memorised nor generalised by step {found.budget}"
    elif times.t4 is not None:
        what = f"generalised at step {times.t4}"
    else:
        what = f"its phase at step {found.budget} is unknown"
    return f"{found.run.name}: {what}."


def run_sentences(found: RunDiagnosis) -> Iterator[str]:
    """Yield what the logs say, a sentence each."""
    yield from _phases(found)
    yield _slingshots(found.slingshots)
    yield from _norm(found)


def _phases(found: RunDiagnosis) -> Iterator[str]:
    times, channels = found.times, found.run.channels
    if "train_acc" not in channels:
        yield "No training accuracy was logged: t1, t2 and the phase are unknown."
    elif times.t2 is None:
        yield f"The training accuracy never reached 100 % in {found.run.last_step} steps."
    else:
        yield f"The training accuracy rose above 0 at step {times.t1} (t1) and reached 100 % at "\
            f"step {times.t2} (t2)."  # fmt: skip
    rule = rule_of(found.run)
    if rule.metric not in channels:
        yield f"No {rule.metric} was logged: t3 and t4 are unknown."
        return
    if times.t4 is None:
        if rule.metric == "val_acc":
            best = float(np.nanmax(channels["val_acc"].values))
            yield f"The best validation accuracy was {100 * best:.3g} %; t4 needs "\
                f"{100 * rule.threshold:.3g} %, held for {rule.hold} more evaluations."  # fmt: skip
        else:
            yield f"The validation loss never held {rule.threshold:g} or less."
        return
    t3 = "" if times.t3 is None else f"rose above 0 at step {times.t3} (t3) and "
    if rule.metric == "val_acc":
        whole = "never reached" if found.t4_whole is None else "reached"
        when = "" if found.t4_whole is None else f" at step {found.t4_whole}"
        yield (
            f"The validation accuracy {t3}held {100 * rule.threshold:.3g} % from step {times.t4} "
            f"on (t4); it {whole} 100 %{when}."
        )
    else:
        yield f"The validation loss held {rule.threshold:g} or less from step {times.t4} on (t4)."
    if found.delay is not None and times.t2:
        yield f"The delay t4 - t2 was {found.delay} steps, {times.t4 / times.t2:.2g} times t2."


def _slingshots(found: Sequence[Slingshot] | None) -> str:
    if found is None:
        return (
            "Slingshots cannot be told: neither gradient nor weight norm was logged "
            "(TrajectoryProbe logs both)."
        )
    if not found:
        return (
            "No slingshot: no spike of the loss (twice the median of the "
            f"{BEFORE} records before it) came with one of the other channels."
        )
    steps = ", ".join(str(each.step) for each in found[:SHOWN_STEPS])
    more = f" and {len(found) - SHOWN_STEPS} more" if len(found) > SHOWN_STEPS else ""
    number = f"{len(found)} slingshots" if len(found) > 1 else "One slingshot"
    highest = max(each.height for each in found)
    signs = " and ".join(dict.fromkeys(sign for each in found for sign in each.confirmed_by))
    return (
        f"{number}, at step {steps}{more}: the loss rose up to {highest:.3g}-fold, "
        f"confirmed by {signs}."
    )


def _norm(found: RunDiagnosis) -> Iterator[str]:
    norms = found.norms
    if norms is None:
        yield "No weight norm was logged (TrajectoryProbe logs it)."
    else:
        peak = int(norms.values.argmax())
        yield (
            f"The weight norm started at {norms.values[0]:.3g}, was largest at step "
            f"{norms.steps[peak]} ({norms.values[peak]:.3g}) and ended at {norms.values[-1]:.3g}."
        )
    if found.clock is None:
        yield (
            "How far weight decay can shrink the norm is unknown: it takes learning rate and "
            "weight decay, of an optimiser that does not divide the decay by the gradient."
        )
    else:
        yield from _clock(found.clock)


def _clock(clock: NormClock) -> Iterator[str]:
    if clock.rate == 0:
        yield "There is no weight decay: only the gradient can shrink the norm."
        return
    steps = max(clock.budget - clock.step, 0)
    product = f"learning rate x weight decay x remaining steps is {clock.left:.2g}"
    if clock.needed is not None and clock.norm is not None and clock.goldilocks is not None:
        ratio = clock.norm / clock.goldilocks
        if clock.needed <= 0:
            yield (
                f"The norm is {ratio:.2g} times w_c = {clock.goldilocks:.3g}: weight decay has "
                "nothing left to do."
            )
            return
        verdict = "enough" if clock.enough else "too little"
        yield (
            f"The norm is {ratio:.2g} times w_c = {clock.goldilocks:.3g}, and {product}; "
            f"ln {ratio:.2g} = {clock.needed:.2g} is needed: {verdict} for weight decay alone."
        )
    elif steps > 1:  # a log that counts from 0 ends one step early
        factor = math.exp(min(clock.left, 700.0))
        yield f"From step {clock.step} on, {product}: decay alone could shrink the norm "\
            f"{factor:.3g}-fold."  # fmt: skip
    else:
        total = clock.rate * clock.step
        yield (
            f"Over the run, learning rate x weight decay x steps was {total:.3g}: decay alone "
            f"would have shrunk the norm by a factor of e^{total:.3g}."
        )


def _network_sentences(found: Diagnosis) -> Iterator[str]:
    if found.left_out:
        yield (
            f"{len(found.left_out)} snapshots, the first of step {found.left_out[0]}, were left "
            "out: their loss is not finite."
        )
    yield from _curvature(found.curvatures)
    for name, (train, validation) in found.barriers().items():
        yield (
            f"On the line {name} the training loss rises {train:.3g} above the straight line "
            f"between its ends, the validation loss {validation:.3g}."
        )
    yield from _minima(found)
    if found.modes is not None:
        shares, null = found.modes.shares[:2].sum(), found.modes.null[:2].sum()
        yield (
            f"Two modes hold {100 * shares:.3g} % of the trajectory's variance over "
            f"{len(found.steps)} snapshots; a random walk of as many points holds "
            f"{100 * null:.3g} %. Up to {100 * found.modes.residual.max():.3g} % of a snapshot's "
            "distance from the mean lies outside their plane."
        )
    if found.dimensions:
        shown = ", ".join(
            f"{name} {mle:.2g} ({two:.2g})" for name, (mle, two) in found.dimensions.items()
        )
        yield f"Intrinsic dimension by layer, by maximum likelihood (TwoNN): {shown}."
    if found.noise is not None:
        noise = found.noise.gradient
        yield (
            f"The gradient noise scale tr(C) / |G|^2 is {noise.critical_batch:.3g} samples, from "
            f"{noise.n_samples}. One step of length 0.05 up the gradient raises the loss by "
            f"{found.noise.sharpness:.3g}."
        )


def _curvature(found: Sequence[Curvature]) -> Iterator[str]:
    first, last = found[0], found[-1]
    if len(found) > 1:
        yield (
            f"lambda_max went from {_eigen(first)} at step {first.step} to {_eigen(last)} at step "
            f"{last.step}; |lambda_min| / lambda_max from {first.ratio:.2g} to {last.ratio:.2g}."
        )
    else:
        yield (
            f"At step {last.step} lambda_max is {_eigen(last)}, and |lambda_min| / lambda_max is "
            f"{last.ratio:.2g}."
        )
    told = [each for each in found if each.sharpness is not None]
    if told:
        top = max(told, key=lambda each: (each.sharpness or 0.0) / each.stable_below)
        kind = "" if top.preconditioned is None else ", preconditioned as Adam does"
        above = (top.sharpness or 0.0) > top.stable_below
        yield (
            f"Learning rate x lambda_max{kind}, was at most {top.sharpness:.3g} (step {top.step}); "
            f"the quadratic model is stable below {top.stable_below:.3g}: "
            + ("beyond the edge of stability." if above else "stable.")
        )
    changed = [each for each in found if each.change is not None]
    if changed:
        signs = sum(
            1
            for each in changed
            if each.change and (each.change.second_order < 0) == (each.change.actual < 0)
        )
        each = changed[-1]
        assert each.change is not None
        yield (
            f"In {signs} of {len(changed)} snapshots the quadratic model predicts whether the "
            f"update raises or lowers the loss; at step {each.step} it predicts "
            f"{each.change.second_order:.3g}, and {each.change.actual:.3g} happened."
        )


def _eigen(found: Curvature) -> str:
    return f"{found.largest.value:.3g} +- {found.largest.residual:.1g}"


def _minima(found: Diagnosis) -> Iterator[str]:
    from grokpredict.diagnosis.slices import local_minima, minima_of_training_only

    total = sum(len(local_minima(each.train_loss)) for each in found.slices)
    apart = [(each.name, at) for each in found.slices for at in minima_of_training_only(each)]
    if not total:
        yield f"None of the {len(found.slices)} lines has an inner minimum of the training loss."
    elif not apart:
        yield (
            "Every minimum of the training loss on the lines is one of the validation loss too "
            f"({total} in all)."
        )
    else:
        places = "; ".join(f"{name}, at {at:.2g}" for name, at in apart[:4])
        yield (
            f"{len(apart)} of {total} minima of the training loss on the lines are none of the "
            f"validation loss ({places})."
        )
