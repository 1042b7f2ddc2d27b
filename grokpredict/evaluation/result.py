"""What an evaluation found: what a classifier and other rules would have lost and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from grokpredict._util.frames import frame
from grokpredict._util.lazy import reporting
from grokpredict.evaluation.accounting import Account
from grokpredict.evaluation.figures import FamilyFigures, LookFigures
from grokpredict.evaluation.population import EvaluationCounts
from grokpredict.evaluation.tabular import evaluation_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grokpredict.reporting import EvaluationDisplay


@dataclass(frozen=True)
class Tradeoff:
    """What one rule would have lost and saved with each of its settings.

    Attributes
    ----------
    rule : str
        Its name.
    classifier : bool
        Whether it is one of a classifier's thresholds, which make a curve.
    lost, saved : tuple of float
        Share of good runs, and of the oracle's steps.
    """

    rule: str
    classifier: bool
    lost: tuple[float, ...]
    saved: tuple[float, ...]


@dataclass(frozen=True)
class Evaluation:
    """What a classifier and its rivals would have lost and saved on finished runs.

    Attributes
    ----------
    counts : EvaluationCounts
        What became of the runs.
    overlap : str
        What the classifier's file says about having been trained on these runs: ``"none"``,
        ``"some"`` (those were left out), ``"all"`` (the classifier's own scores are not shown) or
        ``"unknown"``.
    headline : str
        The model that families and reliability are shown for, and whose lost share the rivals
        may have.
    max_false_abort : float
        The bound that was asked for.
    channels : mapping of str to int
        Runs, by the channels that the looks at them read: ``"train_loss, val_acc"``.
    looks : tuple of LookFigures
        For each model, one look an octave.
    families : tuple of FamilyFigures
        Of the headline model, where the hyperparameters name kinds of task.
    as_is : tuple of Account
        Rules as they come, with nothing chosen in hindsight.
    matched : tuple of Account
        The headline model as it is, and every other rule with the setting that saves most while
        it loses no larger share.
    at_bound : tuple of Account
        Every rule with the setting that saves most while it loses at most ``max_false_abort``.
    tradeoffs : tuple of Tradeoff
        All settings of all rules.
    missing : tuple of str
        What could not be replayed, and why.
    """

    counts: EvaluationCounts
    overlap: str
    headline: str
    max_false_abort: float
    channels: Mapping[str, int]
    looks: tuple[LookFigures, ...]
    families: tuple[FamilyFigures, ...]
    as_is: tuple[Account, ...]
    matched: tuple[Account, ...]
    at_bound: tuple[Account, ...]
    tradeoffs: tuple[Tradeoff, ...]
    missing: tuple[str, ...]

    @property
    def deployed(self) -> Account:
        """The headline model as it is."""
        return next(account for account in self.as_is if account.rule == self.headline)

    @property
    def best_rival(self) -> Account | None:
        """Of the rules that take no looks, the one that saves most at no more lost, if any.

        The configuration alone is one of them. Its setting was chosen on these runs.
        """
        rivals = [
            account
            for account in self.matched
            if account.matched and not account.rule.startswith(("this classifier", "retrained"))
        ]
        return max(rivals, key=lambda account: account.saved.value or 0.0, default=None)

    def __repr__(self) -> str:
        account = self.deployed
        used = f"{self.counts.good} good and {self.counts.doomed} doomed runs"
        lost, saved = ((share.value or 0.0) * 100 for share in (account.lost, account.saved))
        return f"<Evaluation on {used}: {self.headline}: {lost:.1f} % lost, {saved:.1f} % saved>"

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as what :func:`json.dumps` takes."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return str(reporting().evaluation_html(self))

    def to_pandas(self) -> Any:
        """Return a row a rule and a way to choose its setting: what it would lose and save.

        Returns
        -------
        pandas.DataFrame, or dict of str to list without pandas
            ``chosen`` is ``as it is``, ``to lose no more`` (than the classifier, in hindsight) or
            ``within the bound``; shares as in :class:`~grokpredict.evaluation.accounting.Account`.
        """
        return frame(evaluation_columns(self))

    def plot(self, ax: Axes | None = None) -> EvaluationDisplay:
        """Draw lost and saved beside other rules, AUROC by look, and calibration.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Three panels are drawn within its bounds; in a new figure by default.
        """
        display: EvaluationDisplay = reporting().plot_evaluation(self, ax)
        return display
