"""What the validations of a fit tell: the metrics that looks read, and whether it generalised."""

from __future__ import annotations

from typing import Any

from grokpredict.live.lightning.report import Report
from grokpredict.live.metrics import (
    find_validation,
    found_channels,
    in_percent,
    not_recognised,
)
from grokpredict.live.monitor import GrokMonitor
from grokpredict.runs.labels import LabelRule


class Validation:
    """Gives the validation metrics of one fit to its monitor.

    Parameters
    ----------
    monitor : GrokMonitor
        Of the fit.
    val_metric : str or None
        Name of the metric of the classifier's rule; recognised if None.
    report : Report
        Is told once if no metric is recognised.
    """

    def __init__(self, monitor: GrokMonitor, val_metric: str | None, report: Report) -> None:
        self._monitor = monitor
        self._name = val_metric
        self._report = report
        self._unrecognised: str | None = None

    def ended(self, trainer: Any, step: int) -> None:
        """Take the metrics of a validation after ``step`` steps; say once if none is known."""
        metrics, rule, name = trainer.callback_metrics, self._rule, self._name
        value = self.see(trainer)
        unknown = value is None or (name is not None and name not in metrics)
        if unknown and self._unrecognised is None:
            remedy = f"give GrokPredictor(val_metric=...) the name of the {rule.metric}"
            if value is not None:
                remedy += "; another is read meanwhile"
            self._unrecognised = not_recognised(metrics, rule, name, remedy)
            self._report.note(self._unrecognised, every_process=False)
        found = found_channels(metrics, name if rule.metric == "val_acc" else None)
        found.pop("train_acc", None)  # of a step long ago, perhaps
        self._monitor.saw(step, **found)

    def see(self, trainer: Any) -> float | None:
        """Tell the monitor the latest validation metric, and return it; None if there is none."""
        metrics = trainer.callback_metrics
        if in_percent(metrics):
            self._monitor.observed.saw_percentages()
        value = find_validation(metrics, self._rule, self._name)
        if value is not None:  # right after a resume there is none, and the last one counts
            self._monitor.saw_validation(value)
        return value

    def spared(self, trainer: Any) -> str | None:
        """Return why a run that is to be stopped is not; None if it is."""
        value = self.see(trainer)
        if value is None and self._unrecognised is not None and self._name is not None:
            return self._unrecognised
        return self._monitor.observed.generalised

    @property
    def _rule(self) -> LabelRule:
        return self._monitor.classifier.rule
