"""Evaluation: finished runs replayed, beside what other rules would have done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from grokpredict._util.progress import Progress, showing
from grokpredict.evaluation.accounting import (
    Finished,
    Rule,
    RuleUnavailableError,
    account_for,
    best,
    lost_and_saved,
)
from grokpredict.evaluation.crossfit import cross_fitted
from grokpredict.evaluation.elsewhere import set_elsewhere
from grokpredict.evaluation.figures import family_figures, look_figures
from grokpredict.evaluation.last_values import fixed_epoch, sure_stop
from grokpredict.evaluation.looks import LOSS_ALONE, Choice, alike, chosen
from grokpredict.evaluation.population import Population, population_of
from grokpredict.evaluation.pruners import pruner_rules
from grokpredict.evaluation.replay import Replay, replay
from grokpredict.evaluation.result import Evaluation, Tradeoff
from grokpredict.evaluation.rivals import (
    ACTIVITY_STEPS,
    activity_rule,
    early_stopping,
    fixed_budget,
)
from grokpredict.logs import Columns, Paths
from grokpredict.logs.reading import as_sweep
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError
from grokpredict.training.splits import network_splits

#: Stages that :func:`evaluate` tells the progress of.
_STAGES = 4

#: Decides the parts whose settings other runs choose.
_SEED = 0


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
    sweep = as_sweep(sweep, columns, jobs=jobs)
    classifier = load_classifier(classifier)
    with showing(progress, "replaying") as tell:
        population = population_of(sweep, classifier, budget)
        return _replayed(population, classifier, max_false_abort, jobs, tell)


def _replayed(
    population: Population,
    classifier: GrokClassifier,
    max_false_abort: float,
    jobs: int,
    tell: Progress,
) -> Evaluation:
    """Replay the classifier and its rivals on runs that can be decided about."""
    done = population.done
    tell(0, _STAGES)
    every, replays = _replays_of(population, classifier, max_false_abort)
    tell(1, _STAGES)
    crossed = cross_fitted(done, population.looks, max_false_abort=max_false_abort, jobs=jobs)
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
        account_for(done, r.name, "as it is" if r.name in ours else "by other runs", r.as_is)
        for r in rules
        if r.as_is is not None
    ]
    headline_account = next(model for model in as_is if model.rule == headline.name)
    limit = headline_account.lost.value or 0.0
    evaluation = Evaluation(
        counts=population.counts,
        overlap=population.overlap,
        headline=headline.name,
        max_false_abort=max_false_abort,
        channels=_channels(population, every),
        looks=look_figures(done, models, alone),
        families=family_figures(done, headline),
        as_is=tuple(as_is),
        matched=(
            headline_account,
            *(best(done, r, limit) for r in rules if r.name != headline.name),
        ),
        at_bound=tuple(best(done, rule, max_false_abort) for rule in rules),
        tradeoffs=_tradeoffs(done, rules, ours),
        missing=(*missing, *absent),
    )
    tell(_STAGES, _STAGES)
    return evaluation


def _replays_of(
    population: Population, classifier: GrokClassifier, max_false_abort: float
) -> tuple[Choice, list[Replay]]:
    """Replay the classifier by the loss alone, and by all channels that there are if more are.

    Returns
    -------
    Choice
        What the looks at all channels read.
    list of Replay
        None if it was trained on these runs.
    """
    looks = population.looks
    every = chosen(
        looks,
        lambda readable: classifier.reads(readable, max_false_abort),
        lambda reads, step: classifier.threshold(reads, max_false_abort, step) is not None,
    )
    choices = {"loss alone": alike(looks, LOSS_ALONE)}
    if any(reads not in (None, LOSS_ALONE) for reads in every.reads):
        choices["all channels"] = every
    if population.overlap == "all":
        return every, []
    return every, [
        replay(
            looks,
            choice,
            classifier,
            max_false_abort=max_false_abort,
            name=f"this classifier, {name}",
        )
        for name, choice in choices.items()
    ]


def _channels(population: Population, choice: Choice) -> dict[str, int]:
    """Count the runs by the channels that the last look at each read."""
    last = {
        int(run): reads
        for run, reads in zip(population.looks.table.run, choice.reads, strict=True)
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
    shares = {rule.name: lost_and_saved(done, rule.stops) for rule in rules}
    return tuple(
        Tradeoff(
            rule=name,
            classifier=name in classifiers,
            lost=tuple(np.round(lost, 5).tolist()),
            saved=tuple(np.round(saved, 5).tolist()),
        )
        for name, (lost, saved) in shares.items()
    )
