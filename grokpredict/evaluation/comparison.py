"""Evaluation: finished runs replayed, beside what other rules would have done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokpredict._util.frames import frame
from grokpredict._util.lazy import reporting
from grokpredict._util.progress import Progress
from grokpredict.evaluation.crossfit import cross_fitted
from grokpredict.evaluation.ledger import (
    Finished,
    Ledger,
    Rule,
    RuleUnavailableError,
    best,
    finished,
    ledger,
    lost_and_saved,
)
from grokpredict.evaluation.looks import FamilyFigures, LookFigures, family_figures, look_figures
from grokpredict.evaluation.pruners import pruner_rules
from grokpredict.evaluation.replay import Replay, replay
from grokpredict.evaluation.rivals import (
    ACTIVITY_STEPS,
    activity_rule,
    early_stopping,
    fixed_budget,
)
from grokpredict.features.configuration import has_context
from grokpredict.features.metrics import Evaluations
from grokpredict.logs import Columns, Paths, read_sweep
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.reading import (
    CONFIGURATION,
    CONFIGURATION_ALONE,
    VALIDATION,
    WINDOW_READS,
    in_words,
)
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError
from grokpredict.training.digest import fingerprint
from grokpredict.training.table import Unused, known_runs
from grokpredict.training.trainer import MIN_RUNS_PER_CLASS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grokpredict.reporting import EvaluationDisplay

#: Stages that :func:`evaluate` tells the progress of.
_STAGES = 4


@dataclass(frozen=True)
class EvaluationCounts(Unused):
    """What became of the runs of a sweep, with those of :class:`Unused`.

    Attributes
    ----------
    seen : int
        Their configuration was in the classifier's training.
    early : int
        Had generalised, or were to end, by the first look: nothing could be decided.
    good, doomed : int
        Used: generalised by their budget, and did not.
    configurations : int
        Different configurations among the used ones.
    budgets : mapping of str to int
        Runs whose outcome is known, by where their budget comes from.
    """

    seen: int
    early: int
    good: int
    doomed: int
    configurations: int
    budgets: Mapping[str, int] = field(default_factory=dict)


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
    looks : tuple of LookFigures
        For each model and horizon.
    families : tuple of FamilyFigures
        Of the headline model, where the hyperparameters name kinds of task.
    as_is : tuple of Ledger
        Rules as they come, with nothing chosen in hindsight.
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
    looks: tuple[LookFigures, ...]
    families: tuple[FamilyFigures, ...]
    as_is: tuple[Ledger, ...]
    matched: tuple[Ledger, ...]
    at_bound: tuple[Ledger, ...]
    tradeoffs: tuple[Tradeoff, ...]
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        ledger = next(row for row in self.as_is if row.rule == self.headline)
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
        rows = [
            (chosen, ledger)
            for chosen, ledgers in (
                ("as it is", self.as_is),
                ("to lose no more", self.matched),
                ("within the bound", self.at_bound),
            )
            for ledger in ledgers
        ]
        columns: dict[str, list[Any]] = {
            "chosen": [chosen for chosen, _ in rows],
            "rule": [ledger.rule for _, ledger in rows],
            "setting": [ledger.setting for _, ledger in rows],
        }
        for name in ("lost", "saved"):
            shares = [getattr(ledger, name) for _, ledger in rows]
            columns[name] = [share.value for share in shares]
            columns[f"{name}_low"] = [share.low for share in shares]
            columns[f"{name}_high"] = [share.high for share in shares]
        for name in ("n_lost", "n_good", "cut", "saved_of_all", "matched"):
            columns[name] = [getattr(ledger, name) for _, ledger in rows]
        return frame(columns)

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
    progress: Progress | None = None,
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
    progress : callable, optional
        Called with the stages done and to do.

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
    tell = progress or _silent
    done, counts, overlap = _population(sweep, classifier, budget)
    tell(0, _STAGES)
    replays = [] if overlap == "all" else own_replays(done, classifier, max_false_abort)
    tell(1, _STAGES)
    crossed = cross_fitted(done, classifier.horizons, max_false_abort=max_false_abort, jobs=jobs)
    tell(2, _STAGES)
    missing = [] if crossed.reason is None else [f"training on these runs {crossed.reason}"]
    rivals, absent = _rivals(done, classifier, jobs)
    tell(3, _STAGES)
    models = [
        *replays,
        *(crossed.replays[reads] for reads in WINDOW_READS if reads in crossed.replays),
    ]
    if not models:
        raise UnsuitableSweepError(
            f"the classifier was trained on all of these runs, and {missing[0]} to train others; "
            "evaluate it on other runs"
        )
    alone = crossed.replays.get(CONFIGURATION_ALONE)
    if alone is None:
        missing.append("the configuration alone needs a learning rate or a weight decay in hparams")
    headline = _headline(replays, models)
    rules = [model.rule(done) for model in models]
    rules += [alone.rule(done), *rivals] if alone is not None else rivals
    as_is = [ledger(done, r.name, "as it is", r.as_is) for r in rules if r.as_is is not None]
    headline_ledger = next(model for model in as_is if model.rule == headline.name)
    limit = headline_ledger.lost.value or 0.0
    evaluation = Evaluation(
        counts=counts,
        overlap=overlap,
        headline=headline.name,
        max_false_abort=max_false_abort,
        looks=look_figures(done, models, alone),
        families=family_figures(done, headline),
        as_is=tuple(as_is),
        matched=(
            headline_ledger,
            *(best(done, r, limit) for r in rules if r.name != headline.name),
        ),
        at_bound=tuple(best(done, rule, max_false_abort) for rule in rules),
        tradeoffs=_tradeoffs(done, rules, {model.name for model in models}),
        missing=(*missing, *absent),
    )
    tell(_STAGES, _STAGES)
    return evaluation


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def _population(
    sweep: Sweep, classifier: GrokClassifier, budget: int | None
) -> tuple[Finished, EvaluationCounts, str]:
    """Return the runs that can be decided about, and what became of the others."""
    runs, lost = known_runs(sweep, budget, None)
    overlap, seen = _seen(runs.runs, classifier)
    first = classifier.horizons[0]
    done = finished(runs.only(~seen), first)
    if seen.any() and min(done.good.sum(), (~done.good).sum()) < MIN_RUNS_PER_CLASS:
        overlap, seen = "all", np.zeros_like(seen)
        done = finished(runs, first)
    counts = EvaluationCounts(
        runs=len(sweep.runs) + len(sweep.left_out),
        left_out=len(sweep.left_out),
        no_metric=lost["no_metric"],
        censored=lost["censored"],
        seen=int(seen.sum()),
        early=int((~seen).sum()) - len(done),
        good=int(done.good.sum()),
        doomed=int((~done.good).sum()),
        configurations=int(np.unique(done.runs.configuration).size),
        budgets=dict(Counter(runs.budget_source)),
    )
    if not counts.good or not counts.doomed:
        raise UnsuitableSweepError(
            f"an evaluation needs runs of both outcomes that had not generalised by step {first}, "
            f"{counts.good} generalised by their budget and {counts.doomed} did not "
            f"({counts.censored} ended before it, {counts.early} were over by the first look, "
            f"{counts.no_metric} have no validation metric, {counts.left_out} could not be read); "
            "add runs, or choose another --budget"
        )
    return done, counts, overlap


def _seen(runs: Sequence[Any], classifier: GrokClassifier) -> tuple[str, BoolArray]:
    """Return how many of the runs the classifier was trained on, in words, and which."""
    trained_on = classifier.card.get("trained_on")
    if trained_on is None:
        return "unknown", np.zeros(len(runs), dtype=np.bool_)
    fingerprints = set(trained_on)
    seen = np.array([fingerprint(run) in fingerprints for run in runs], dtype=np.bool_)
    return ("some" if seen.any() else "none"), seen


def own_replays(done: Finished, classifier: GrokClassifier, max_false_abort: float) -> list[Replay]:
    """Replay each model of the classifier that some run allows, the poorest first."""
    runs = done.runs
    known = {"train_loss"}
    if any(has_context(run, classifier.context_fields) for run in runs.configurations):
        known.add(CONFIGURATION)
    if any(len(Evaluations.of(run).steps) for run in runs.runs):
        known.update(VALIDATION)
    return [
        replay(
            done,
            classifier,
            max_false_abort=max_false_abort,
            reads=reader.reads,
            name=f"this classifier, {in_words(reader.reads)}",
        )
        for reader in classifier.readers
        if known.issuperset(reader.reads)
    ]


def _headline(replays: Sequence[Replay], models: Sequence[Replay]) -> Replay:
    """Return the richest model of the classifier, or of those trained on these runs."""
    return (replays or models)[-1]


def _rivals(done: Finished, classifier: GrokClassifier, jobs: int) -> tuple[list[Rule], list[str]]:
    """Return the rules that need no classifier, and why others are missing."""
    later = [h for h in classifier.horizons if h >= ACTIVITY_STEPS]
    horizon = later[0] if later else classifier.horizons[-1]
    candidates: list[Callable[[], list[Rule]]] = [
        lambda: [early_stopping(done, "val_acc"), early_stopping(done, "val_loss")],
        lambda: [fixed_budget(done)],
        lambda: [activity_rule(done, horizon)],
        lambda: pruner_rules(done, jobs=jobs),
    ]
    rules: list[Rule] = []
    missing: list[str] = []
    for candidate in candidates:
        try:
            rules += candidate()
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
