"""Evaluation: finished runs replayed, beside what other rules would have done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokpredict._util.frames import frame
from grokpredict._util.lazy import reporting
from grokpredict._util.progress import Progress, showing
from grokpredict.evaluation.crossfit import cross_fitted
from grokpredict.evaluation.elsewhere import set_elsewhere
from grokpredict.evaluation.figures import (
    FamilyFigures,
    LookFigures,
    family_figures,
    look_figures,
)
from grokpredict.evaluation.gathering import LOSS_ALONE, Choice, alike, chosen
from grokpredict.evaluation.last_values import fixed_epoch, sure_stop
from grokpredict.evaluation.ledger import (
    Finished,
    Ledger,
    Rule,
    RuleUnavailableError,
    best,
    ledger,
    lost_and_saved,
)
from grokpredict.evaluation.population import EvaluationCounts, Population, population
from grokpredict.evaluation.pruners import pruner_rules
from grokpredict.evaluation.replay import Replay, replay
from grokpredict.evaluation.rivals import (
    ACTIVITY_STEPS,
    activity_rule,
    early_stopping,
    fixed_budget,
)
from grokpredict.evaluation.tabular import evaluation_columns
from grokpredict.logs import Columns, Paths, read_sweep
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError
from grokpredict.training.splits import network_splits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grokpredict.reporting import EvaluationDisplay

#: Stages that :func:`evaluate` tells the progress of.
_STAGES = 4

#: Decides the parts whose settings other runs choose.
_SEED = 0


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
    as_is : tuple of Ledger
        Nothing chosen in hindsight: the classifier as it is, every other rule with settings that
        runs outside each fifth of the networks choose.
    matched : tuple of Ledger
        The headline model as it is, and every other rule with the setting that saves most while
        it loses no larger share.
    at_bound : tuple of Ledger
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
    as_is: tuple[Ledger, ...]
    matched: tuple[Ledger, ...]
    at_bound: tuple[Ledger, ...]
    tradeoffs: tuple[Tradeoff, ...]
    missing: tuple[str, ...]

    @property
    def deployed(self) -> Ledger:
        """The headline model as it is."""
        return next(ledger for ledger in self.as_is if ledger.rule == self.headline)

    @property
    def best_rival(self) -> Ledger | None:
        """Of the rules that need no model of curves, the one that saves most at no more lost.

        Its setting was chosen on these runs.
        """
        rivals = [
            ledger
            for ledger in self.matched
            if ledger.matched and not ledger.rule.startswith(("this classifier", "retrained"))
        ]
        return max(rivals, key=lambda ledger: ledger.saved.value or 0.0, default=None)

    def __repr__(self) -> str:
        ledger = self.deployed
        used = f"{self.counts.good} good and {self.counts.doomed} doomed runs"
        lost, saved = ((share.value or 0.0) * 100 for share in (ledger.lost, ledger.saved))
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
            ``within the bound``; shares as in :class:`~grokpredict.evaluation.ledger.Ledger`.
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


def evaluate(
    sweep: Sweep | Paths,
    classifier: str | Path | GrokClassifier = "default",
    *,
    columns: Columns | None = None,
    budget: int | None = None,
    max_false_abort: float = 0.05,
    jobs: int = 1,
    progress: Progress | bool | None = None,
) -> Evaluation:
    """Replay finished runs as if a classifier, and other rules, had watched them.

    Parameters
    ----------
    sweep : Sweep, path-like or iterable of path-like
        Runs with a training loss and a validation metric, or where to read them.
    classifier : str, Path or GrokClassifier
        ``"default"``, a classifier file, or a classifier. It is compared with classifiers trained
        on the other runs of the sweep.
    columns : Columns, optional
        Names of columns, where they are not recognised.
    budget : int, optional
        Step by which a run has to generalise, by default what each was planned for.
    max_false_abort : float
        Largest share of the runs that would generalise that may be lost.
    jobs : int
        Processes, as joblib counts them.
    progress : callable or bool, optional
        Called with the stages done and to do; True shows a bar.

    Returns
    -------
    Evaluation

    Raises
    ------
    UnsuitableSweepError
        If there are no runs of one of the two outcomes to decide about.
    LogError
        If a path does not exist or holds no log.
    """
    check_max_false_abort(max_false_abort)
    if not isinstance(sweep, Sweep):
        sweep = read_sweep(sweep, columns, jobs=jobs)
    classifier = load_classifier(classifier)
    with showing(progress, "replaying") as tell:
        found = population(sweep, classifier, budget)
        return _replayed(found, classifier, max_false_abort, jobs, tell)


def _replayed(
    found: Population,
    classifier: GrokClassifier,
    max_false_abort: float,
    jobs: int,
    tell: Progress,
) -> Evaluation:
    """Replay the classifier and its rivals on runs that can be decided about."""
    done = found.done
    tell(0, _STAGES)
    reads, replays = _own_replays(found, classifier, max_false_abort)
    tell(1, _STAGES)
    crossed = cross_fitted(done, found.gathered, max_false_abort=max_false_abort, jobs=jobs)
    tell(2, _STAGES)
    missing = [] if crossed.reason is None else [f"training on these runs {crossed.reason}"]
    rivals, absent = _rivals(done, max_false_abort, jobs, enough=crossed.reason is None)
    tell(3, _STAGES)
    models = [*replays, *crossed.replays]
    if not models:
        raise UnsuitableSweepError(
            f"the classifier was trained on all of these runs, and {missing[0]} to train others; "
            "evaluate it on other runs"
        )
    alone = crossed.configuration
    if alone is None:
        missing.append("the configuration alone needs a learning rate or a weight decay in hparams")
    headline = (replays or models)[-1]
    rules = [model.rule(done) for model in models]
    rules += [alone.rule(done), *rivals] if alone is not None else rivals
    ours = {model.name for model in models}
    as_is = [
        ledger(done, r.name, "as it is" if r.name in ours else "by other runs", r.as_is)
        for r in rules
        if r.as_is is not None
    ]
    headline_ledger = next(model for model in as_is if model.rule == headline.name)
    limit = headline_ledger.lost.value or 0.0
    evaluation = Evaluation(
        counts=found.counts,
        overlap=found.overlap,
        headline=headline.name,
        max_false_abort=max_false_abort,
        channels=_channels(found, reads),
        looks=look_figures(done, models, alone),
        families=family_figures(done, headline),
        as_is=tuple(as_is),
        matched=(
            headline_ledger,
            *(best(done, r, limit) for r in rules if r.name != headline.name),
        ),
        at_bound=tuple(best(done, rule, max_false_abort) for rule in rules),
        tradeoffs=_tradeoffs(done, rules, ours),
        missing=(*missing, *absent),
    )
    tell(_STAGES, _STAGES)
    return evaluation


def _own_replays(
    found: Population, classifier: GrokClassifier, max_false_abort: float
) -> tuple[Choice, list[Replay]]:
    """Replay the classifier by the loss alone, and by all channels that there are if more are.

    Returns
    -------
    Choice
        What the looks at all channels read.
    list of Replay
        None if it was trained on these runs.
    """
    gathered = found.gathered
    every = chosen(
        gathered,
        lambda readable: classifier.reads(readable, max_false_abort),
        lambda reads, step: classifier.threshold(reads, max_false_abort, step) is not None,
    )
    choices = {"loss alone": alike(gathered, LOSS_ALONE)}
    if any(reads not in (None, LOSS_ALONE) for reads in every.reads):
        choices["all channels"] = every
    if found.overlap == "all":
        return every, []
    return every, [
        replay(
            gathered,
            choice,
            classifier,
            max_false_abort=max_false_abort,
            name=f"this classifier, {name}",
        )
        for name, choice in choices.items()
    ]


def _channels(found: Population, choice: Choice) -> dict[str, int]:
    """Count the runs by the channels that the last look at each read."""
    last = {
        int(run): reads
        for run, reads in zip(found.gathered.table.run, choice.reads, strict=True)
        if reads is not None
    }
    return dict(Counter(", ".join(reads) for reads in last.values()).most_common())


def _rivals(
    done: Finished, max_false_abort: float, jobs: int, *, enough: bool
) -> tuple[list[Rule], list[str]]:
    """Return the rules that need no classifier, and why others are missing.

    Other runs choose their settings, where there are enough.
    """
    splits = network_splits(done.runs, _SEED) if enough else []
    candidates: list[Callable[[], list[Rule]]] = [
        lambda: [early_stopping(done, "val_acc"), early_stopping(done, "val_loss")],
        lambda: [sure_stop(done, splits, max_false_abort)],
        lambda: [fixed_epoch(done)],
        lambda: [fixed_budget(done)],
        lambda: [activity_rule(done, ACTIVITY_STEPS)],
        lambda: pruner_rules(done, jobs=jobs),
    ]
    rules: list[Rule] = []
    missing: list[str] = []
    for candidate in candidates:
        try:
            rules += [set_elsewhere(done, rule, splits, max_false_abort) for rule in candidate()]
        except RuleUnavailableError as error:
            missing.append(str(error))
    return rules, missing


def _tradeoffs(
    done: Finished, rules: Sequence[Rule], classifiers: set[str]
) -> tuple[Tradeoff, ...]:
    shares: Mapping[str, Any] = {rule.name: lost_and_saved(done, rule.stops) for rule in rules}
    return tuple(
        Tradeoff(
            rule=name,
            classifier=name in classifiers,
            lost=tuple(np.round(lost, 5).tolist()),
            saved=tuple(np.round(saved, 5).tolist()),
        )
        for name, (lost, saved) in shares.items()
    )
