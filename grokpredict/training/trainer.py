"""Training: from a sweep to a classifier and a report on how far to trust it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from grokpredict._util.parallel import results
from grokpredict.features.configuration import CONTEXT_FIELDS, has_context
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.familiarity import Familiar, fit_familiar
from grokpredict.model.reading import VALIDATION, WINDOW_READS, Reader, Reads, in_words
from grokpredict.model.thresholds import independent_scores
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray, LabelRule
from grokpredict.runs.sweep import UnsuitableSweepError
from grokpredict.training.cross_validation import (
    FITTED,
    FOLDS,
    Figures,
    GridArea,
    allowed,
    areas_by_grid,
    family_folds,
    figures,
    fit_reads,
    folds,
    held_out_scores,
    table_for,
)
from grokpredict.training.digest import Digest, Facts, Recipe
from grokpredict.training.looks import LookTable, kind_folds, train_looks
from grokpredict.training.table import (
    Counts,
    Grid,
    Progress,
    Rows,
    Runs,
    drawn,
    known_windows,
    some_networks,
    training_rows,
)

#: Fewest runs of each class, in all and in the fit at one horizon.
MIN_RUNS_PER_CLASS = 10
MIN_RUNS_AT_HORIZON = 5

#: A sweep of which less than this share can be used is refused.
MIN_USABLE = 1 / 3


@dataclass(frozen=True)
class TrainingReport:
    """What a classifier was trained on, and how good it is on what it did not see.

    Attributes
    ----------
    counts : Counts
        What became of the sweep's runs.
    figures : tuple of Figures
        Cross-validated, on the finest step grid, for each horizon without and with context.
    grids : tuple of GridArea
        The area on every step grid, at each horizon that it serves.
    calibration : mapping of str to int
        Generalising configurations behind the threshold, as many as are independent of each other,
        by ``"loss, stride 1"`` and so on.
    """

    counts: Counts
    figures: tuple[Figures, ...]
    grids: tuple[GridArea, ...]
    calibration: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what :func:`json.dumps` takes."""
        return asdict(self)


def train_digest(
    digest: Digest,
    recipe: Recipe,
    *,
    left_out: int = 0,
    budget: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, TrainingReport]:
    """Train a classifier on what was kept of a sweep, as :func:`grokpredict.train`.

    Parameters
    ----------
    digest : Digest
        Of the runs that could be read.
    recipe : Recipe
        By which it was made.
    left_out : int
        Runs that could not be read, for the report.
    budget, seed, jobs
        As for :func:`grokpredict.train`.
    progress : callable, optional
        Called with the fits done and to do.
    """
    labelled = known_windows(digest, recipe, budget)
    runs, grids = labelled.runs, labelled.grids
    counts = _counts(len(digest), left_out, runs, grids, labelled.lost)
    _check(counts)
    grids = [grid for grid in grids if _enough(runs, grid)]
    if not grids:
        raise UnsuitableSweepError(
            f"a horizon needs {MIN_RUNS_AT_HORIZON} runs of each outcome that had not generalised "
            f"by then, none of {', '.join(map(str, recipe.horizons))} has; add runs or name "
            "earlier ones"
        )
    kept = some_networks(runs, seed)
    some, windows = drawn(runs, grids, kept)
    splits = list(folds(some, FOLDS, seed))
    folded, left = (len(FITTED) * number for number in (len(splits), len(list(family_folds(some)))))
    tell = _counting(progress, folded + 1 + left)
    scores = held_out_scores(some, windows, splits, seed=seed, jobs=jobs, progress=tell(0))
    rows = training_rows(runs, grids, np.ones(len(runs), bool), np.random.default_rng(seed))
    fitted = _fit(runs, rows, seed, jobs)
    tell(folded)(1, 1)
    table = LookTable.of([labelled.bins[i] for i in kept], some.t4, some.budget)
    kind = np.unique([str(name) for name in some.family], return_inverse=True)[1]
    kinds = kind_folds(kind, some.generalised)
    looks = train_looks(
        table,
        kinds or splits,
        some.configuration,
        some.network,
        kind if kinds else None,
        seed=seed,
        jobs=jobs,
    )
    readers = tuple(
        Reader(reads, trees, _lowest_scores(some, windows, scores[reads], reads))
        for reads, trees in fitted.items()
    )
    finest = min(grid.stride for grid in grids)
    finest_rows = [i for i, grid in enumerate(grids) if grid.stride == finest]
    report = TrainingReport(
        counts=counts,
        figures=figures(
            some,
            [windows[i] for i in finest_rows],
            {reads: values[finest_rows] for reads, values in scores.items()},
            seed=seed,
            jobs=jobs,
            progress=tell(folded + 1),
        ),
        grids=areas_by_grid(some, windows, scores),
        calibration={
            f"{in_words(reader.reads)}, stride {stride}": reader.n_calibration(stride)
            for reader in readers
            for stride in reader.scores
        },
    )
    classifier = GrokClassifier(
        grids=tuple((grid.horizon, grid.stride) for grid in grids),
        rule=_rule(labelled.facts),
        budget=int(budget or np.median(runs.budget)),
        settings=recipe.settings,
        familiar=_familiar(windows, *splits[0], rows, readers),
        readers=readers,
        context_fields=_always_known(runs),
        looks=looks,
        card={
            "report": report.to_dict(),
            "seed": seed,
            "versions": _versions(),
            "data_sha256": hashlib.sha256(
                b"".join(facts.sha256 for facts in labelled.facts)
            ).hexdigest(),
            "trained_on": sorted({facts.fingerprint for facts in labelled.facts}),
        },
    )
    return classifier, report


def _rule(facts: Sequence[Facts]) -> LabelRule:
    """Return the rule that most runs were labelled by: that of a sweep of regressions is a loss."""
    return Counter(fact.rule for fact in facts).most_common(1)[0][0]


def _counting(progress: Progress | None, total: int) -> Callable[[int], Progress]:
    """Return what makes the progress of a part, before which so many fits are done."""

    def after(before: int) -> Progress:
        def tell(done: int, _: int) -> None:
            if progress is not None:
                progress(before + done, total)

        tell(0, total)
        return tell

    return after


def _counts(
    read: int, left_out: int, runs: Runs, grids: Sequence[Grid], lost: Mapping[str, int]
) -> Counts:
    def among(index: Sequence[IntArray]) -> BoolArray:
        marked = np.zeros(len(runs), dtype=np.bool_)
        for rows in index:
            marked[rows] = True
        return marked

    fits = among([grid.fits for grid in grids])
    finite = among([grid.finite for grid in grids])
    used = among([grid.run for grid in grids])
    good = runs.generalised
    return Counts(
        runs=read + left_out,
        left_out=left_out,
        no_metric=lost["no_metric"],
        censored=lost["censored"],
        unfit=int(np.sum(~fits)),
        diverged=int(np.sum(fits & ~finite)),
        in_window=int(np.sum(finite & ~used)),
        generalised=int(np.sum(used & good)),
        not_generalised=int(np.sum(used & ~good)),
        configurations=int(np.unique(runs.configuration[used]).size),
        networks=_n_networks(runs, used),
        budgets=dict(Counter(runs.budget_source)),
    )


def _n_networks(runs: Runs, used: BoolArray) -> int:
    by_network = not np.array_equal(runs.network, runs.configuration)
    return int(np.unique(runs.network[used]).size) if by_network else 0


def _check(counts: Counts) -> None:
    """Raise UnsuitableSweepError unless the sweep can train a classifier."""
    unusable = counts.left_out + counts.no_metric + counts.censored + counts.unfit
    if counts.runs - unusable < MIN_USABLE * counts.runs or not counts.runs:
        raise UnsuitableSweepError(
            f"at least a third of a sweep must be usable, {counts.runs - unusable} of "
            f"{counts.runs} runs are: {counts.left_out} could not be read, {counts.no_metric} "
            f"have no validation metric, {counts.censored} ended before their budget, "
            f"{counts.unfit} are too short or on another step grid; give the column names, or a "
            "smaller --budget"
        )
    for kind, number in (
        ("generalised", counts.generalised),
        ("did not generalise", counts.not_generalised),
    ):
        if number < MIN_RUNS_PER_CLASS:
            raise UnsuitableSweepError(
                f"training needs {MIN_RUNS_PER_CLASS} runs of each outcome, {number} {kind} by "
                "their budget and after the first horizon; add runs, or choose another --budget"
            )


def _enough(runs: Runs, grid: Grid) -> bool:
    good = runs.generalised[grid.run]
    return min(int(good.sum()), int((~good).sum())) >= MIN_RUNS_AT_HORIZON


def _fit(runs: Runs, rows: Rows, seed: int, jobs: int) -> dict[Reads, Trees]:
    """Fit the models of windows, as far as there are runs."""
    from joblib import delayed

    tables = {reads: table_for(reads, rows, runs) for reads in WINDOW_READS}
    fits = {
        reads: delayed(fit_reads)(table, reads, seed=seed)
        for reads, table in tables.items()
        if table is not None
    }
    return dict(zip(fits, results(fits.values(), jobs), strict=True))


def _lowest_scores(
    runs: Runs, grids: Sequence[Grid], scores: FloatArray, reads: Reads
) -> dict[int, FloatArray]:
    """Return, by stride, the lowest scores of the runs that generalise, as far as independent.

    Each score is that of the fold's model, which did not see the network. Looks at runs
    that would be turned away as strangers count too: they cannot be aborted, so the bound only
    becomes safer.
    """
    independent: dict[int, FloatArray] = {}
    for stride in sorted({grid.stride for grid in grids}):
        rows = [i for i, grid in enumerate(grids) if grid.stride == stride]
        looks = np.where(np.isfinite(scores[rows]), scores[rows], np.inf)
        lowest = looks.min(axis=0)
        good = np.isfinite(lowest) & runs.generalised & allowed(runs, reads)
        if good.any():
            independent[stride] = independent_scores(
                lowest[good], runs.configuration[good], runs.network[good]
            )
    return independent


def _familiar(
    grids: Sequence[Grid],
    fit: BoolArray,
    held: BoolArray,
    rows: Rows,
    readers: Sequence[Reader],
) -> Familiar:
    """Learn what runs look like; how far from that is strange, the held-out runs say."""
    return fit_familiar(
        [grid.features[fit[grid.run]] for grid in grids],
        [grid.features[held[grid.run]] for grid in grids],
        rows.x,
        read_metrics=any(VALIDATION[0] in reader.reads for reader in readers),
    )


def _always_known(runs: Runs) -> tuple[str, ...]:
    """Return the configuration fields that are read and that no run with a configuration lacks."""
    fields_known = [
        set(configuration.known())
        for configuration in runs.configurations
        if has_context(configuration)
    ]
    return (
        tuple(sorted(set.intersection(set(CONTEXT_FIELDS), *fields_known))) if fields_known else ()
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("grokpredict", "numpy", "scipy", "scikit-learn", "mne"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return versions
