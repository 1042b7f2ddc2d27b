"""From curves and a configuration to a run: every format ends here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grokpredict.logs.columns import Columns
from grokpredict.logs.counting import Axis
from grokpredict.logs.curves import from_even_steps, in_shares
from grokpredict.logs.errors import LogError
from grokpredict.logs.plan import EpochLength, planned
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.labels import rule_of
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, Sweep


def sweep_of_run(
    curves: Mapping[str, Curve],
    hparams: Mapping[str, Any],
    name: str,
    taken: Mapping[str, str],
    axis: Axis,
    notes: Iterable[str],
) -> Sweep:
    """Return the one run with what was met on the way."""
    run = make_run(
        in_shares(curves), hparams, name, unit=axis.unit, length=axis.length, notes=notes
    )
    findings = Findings(
        columns=dict.fromkeys(taken.items(), 1), remarks=dict.fromkeys(run.notes, (1, name))
    )
    return Sweep([run], findings=findings)


def make_run(
    curves: Mapping[str, Curve],
    hparams: Mapping[str, Any],
    name: str,
    *,
    unit: str = "step",
    length: EpochLength | None = None,
    notes: Iterable[str] = (),
) -> Run:
    """Check what every format must deliver, and put a run together.

    Parameters
    ----------
    curves : mapping of str to Curve
        By channel.
    hparams : mapping
        Its configuration.
    name : str
        For people.
    unit, length
        As :class:`~grokpredict.logs.axis.Axis` has them.
    notes : iterable of str
        What is not certain.

    Raises
    ------
    LogError
        If the training loss is missing, has a single value, or lacks the start of the run.
    """
    loss = curves["train_loss"]
    if len(loss) == 0:
        raise LogError(f"a run must have a training loss, the column of {name} is empty")
    if len(loss) == 1:
        raise LogError(f"a run must have at least two recorded losses, {name} has one")
    loss, begun = from_even_steps(loss)
    first = int(loss.steps[0])
    if first > loss.stride:
        raise LogError(
            f"a run must be logged from its start, the first loss of {name} is that of step "
            f"{first}; was it resumed into a new file?"
        )
    kept = {key: curve for key, curve in {**curves, "train_loss": loss}.items() if len(curve)}
    plan = planned(hparams, unit, length, max(int(curve.steps[-1]) for curve in kept.values()))
    run = Run(
        channels=kept,
        configuration=Configuration.from_mapping(hparams),
        hparams=hparams,
        max_steps=plan.steps,
        name=name,
        budget_source=plan.source,
        step_unit=unit,
        notes=tuple(dict.fromkeys((*notes, *begun, *plan.notes))),
    )
    rule_of(run)  # a level that is no number is told now, and not when the run is labelled
    return run


def unknown_metric_notes(
    columns: Columns,
    header: Sequence[str],
    channels: Mapping[str, str],
    values: Mapping[str, tuple[IntArray, FloatArray]],
) -> list[str]:
    """Return a note if a log has metrics but none that is known to be of validation."""
    if any(channel in values and values[channel][0].size for channel in ("val_acc", "val_loss")):
        return []
    unknown = columns.unknown_metrics(header)
    if not unknown:
        return []
    names = ", ".join(map(repr, unknown[:5]))
    return [
        f"no validation metric is known among {names}: whether the run has generalised cannot be "
        "told; name one with --val-acc-column"
    ]
