"""The model that reads whatever a run has: its thresholds, its budgets, its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, SIGNATURE, SPECTRUM, sources
from grokpredict.features.profile import LOOKS, PROFILED, looks_before
from grokpredict.features.recording import Recording
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import READABLE, all_reads, may_stop, only, read_by
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.thresholds import abort_threshold
from grokpredict.model.verdict import Verdict, judge, read_and_missing
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, FloatArray
from grokpredict.runs.run import Run
from grokpredict.training.cross_validation import calibrated, fit, held_out, lowest_of
from grokpredict.training.outcomes import Runs
from grokpredict.training.record import CADENCES, as_logged
from grokpredict.training.splits import kind_splits
from grokpredict.training.table import LookTable, rows_to_fit

BUDGET = 6400
STEPS = np.arange(24, BUDGET, 25)


def planted(rng: np.random.Generator, good: bool) -> Run:
    """A run whose validation loss turns round after a while if it will generalise."""
    t = np.log2(STEPS + 1.0)
    noise = 0.05 * rng.standard_normal((3, STEPS.size))
    turn = rng.uniform(9, 11) if good else 99
    val_loss = 10 ** (0.2 * np.minimum(t, turn) - 0.3 * np.maximum(t - turn, 0) + noise[0])
    val_acc = np.clip(0.1 + 0.9 * (t > turn + 1.5) * good + noise[1] / 5, 0, 1)
    return Run(
        {
            "train_loss": Curve(STEPS, 10 ** (-0.3 * t + noise[2])),
            "val_loss": Curve(STEPS, val_loss),
            "val_acc": Curve(STEPS, val_acc),
            "train_acc": Curve(STEPS, np.ones(STEPS.size)),
            "weight_norm": Curve(STEPS, 10 + rng.random(STEPS.size)),
        },
        max_steps=BUDGET,
    )


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    rng = np.random.default_rng(0)
    return [planted(rng, good=i % 2 == 0) for i in range(160)]


def table_of(runs: list[Run], t4: FloatArray, budget: float = BUDGET) -> LookTable:
    looks = [np.arange(looks_before(min(end, budget)).size) for end in t4]
    rows = [
        Recording.of(as_logged(run, i)).columns(look.tolist(), budget)
        for i, (run, look) in enumerate(zip(runs, looks, strict=True))
    ]
    there = [np.isfinite(row[:, 0]) for row in rows]
    return LookTable.joined(
        [look[seen] for look, seen in zip(looks, there, strict=True)],
        [row[seen] for row, seen in zip(rows, there, strict=True)],
        t4,
        np.full(len(runs), float(budget)),
    )


def runs_of(table: LookTable, kind: np.ndarray | None = None) -> Runs:
    """Each run is its own configuration and network."""
    n = table.t4.size
    number = np.arange(n)
    family = [None] * n if kind is None else [str(which) for which in kind]
    return Runs((), (Configuration(),) * n, table.t4, table.budget, number, number, tuple(family))


@pytest.fixture(scope="module")
def table(runs: list[Run]) -> LookTable:
    return table_of(runs, np.where(np.arange(len(runs)) % 2 == 0, 5000.0, np.inf))


@pytest.fixture(scope="module")
def model(table: LookTable) -> GrokClassifier:
    n = table.t4.size
    fold = np.arange(n) % 4
    splits = [(fold != i, fold == i) for i in range(4)]
    reads = [own for own in all_reads() if may_stop(own)]
    scores = held_out(table, splits, reads, seed=0)
    calibrations = calibrated(table, runs_of(table), scores, np.ones(n, dtype=bool), by_kind=False)
    there = np.isfinite(table.columns).any(axis=0)
    full = np.where(there, table.columns.astype(float), 0.0)
    return GrokClassifier(
        fit(table, seed=0), calibrations, np.nanmin(full, axis=0), np.nanmax(full, axis=0)
    )


def row_of(run: Run, look: int, budget: float = BUDGET) -> FloatArray:
    return Recording.of(run.channels).columns([look], budget)


def seen(model: GrokClassifier, run: Run, look: int, budget: float = BUDGET) -> float:
    return float(model.look(row_of(run, look, budget)).probability[0])


def test_no_look_is_at_a_run_that_had_generalised(table: LookTable) -> None:
    assert (table.step < table.t4[table.run]).all()
    assert (table.step < table.budget[table.run]).all()
    assert np.isfinite(table.columns[:, 0]).all()
    doomed = table.run == 1
    assert table.step[doomed][-1] == looks_before(BUDGET)[-1]


def test_it_learns_what_was_planted(model: GrokClassifier, runs: list[Run]) -> None:
    """By step 4 525 the validation loss of every good run has turned."""
    good, doomed = (np.array([seen(model, run, 9) for run in runs[i::2]]) for i in (0, 1))
    assert np.median(good) > 0.9
    assert np.median(doomed) < 0.1


def test_p_never_falls_as_the_budget_grows(model: GrokClassifier, runs: list[Run]) -> None:
    budgets = np.geomspace(LOOKS[5] + 1, 300_000, 60)
    for run in runs[:8]:
        found = [seen(model, run, 5, budget) for budget in budgets]
        assert (np.diff(found) >= 0).all()
        assert found[-1] > found[0]


def test_a_budget_is_a_share_and_may_be_300_000_steps(table: LookTable) -> None:
    longer = replace(table, step=30 * table.step, budget=30 * table.budget, t4=30 * table.t4)
    x, y = rows_to_fit(table, np.random.default_rng(0))
    other, also = rows_to_fit(longer, np.random.default_rng(0))
    column = COLUMNS.index(BUDGET_COLUMN)
    # The nearest budget is at least one step later, which is all that is not a ratio.
    np.testing.assert_allclose(x[:, column], other[:, column], atol=2e-2)
    assert np.mean(y != also) < 0.01


def test_what_is_left_out_is_missing_at_all_looks_at_a_run(table: LookTable) -> None:
    x, _ = rows_to_fit(table, np.random.default_rng(1))
    run = np.repeat(table.run, len(x) // table.run.size)
    for name, low, high in (("val_loss_level", 0.5, 0.85), ("weight_norm_change", 0.3, 0.6)):
        known = np.isfinite(x[:, COLUMNS.index(name)])
        own = np.array([known[run == i].mean() for i in np.unique(run)])
        if name == "val_loss_level":
            assert set(own.tolist()) == {0.0, 1.0}
        assert low < known.mean() < high
    assert np.isfinite(x[:, COLUMNS.index("train_loss_level")]).all()


def test_a_threshold_is_that_of_the_channels_read(model: GrokClassifier) -> None:
    dense = {own for own in all_reads() if SPECTRUM in own}
    # No log of every 25th step has a spectrum by step 6 400.
    assert set(model.calibrations) == {own for own in all_reads() if may_stop(own)} - dense
    for reads, own in model.calibrations.items():
        assert own.independent.size == model.n_calibration(reads) == 80
        assert model.threshold(reads, 0.05) == abort_threshold(own.independent, 0.05)
    # Nothing is stopped by what says nothing of other tasks.
    assert model.threshold(("train_loss",), 0.05) is None
    assert model.threshold(("train_loss", "train_acc", "weight_norm"), 0.5) is None


def test_what_has_no_threshold_is_not_read(model: GrokClassifier) -> None:
    """A channel that no training run had must not keep a run from being stopped."""
    assert model.reads(READABLE, 0.05) == PROFILED
    assert model.reads(("train_loss", "val_loss", SPECTRUM), 0.05) == ("train_loss", "val_loss")
    assert model.reads(("train_loss",), 0.05) == ("train_loss",)
    assert model.reads(READABLE, 0.001) == READABLE


def test_every_kind_of_task_keeps_its_good_runs() -> None:
    """One of three kinds allows no more than 0.01; a small kind says nothing."""
    easy = np.linspace(0.03, 1, 300)
    hard = np.concatenate([np.full(4, 0.005), np.full(96, 0.01)])
    few = np.zeros(18)
    together = np.linspace(0.02, 1, 400)
    own = Calibration(together, (easy, hard, few))
    alone = abort_threshold(together, 0.05)
    assert alone is not None
    assert alone > 0.02
    assert own.threshold(0.05) == 0.01
    assert np.mean(hard < 0.01) <= 0.05
    # The control: without its own limit the hard kind would lose all of its good runs.
    assert Calibration(together).threshold(0.05) == alone
    assert np.mean(hard < alone) == 1.0
    assert Calibration(together[:58], (easy,)).threshold(0.05) is None
    with pytest.raises(ValueError, match="max_false_abort"):
        own.threshold(1.0)


def test_kinds_are_left_out_whole(table: LookTable) -> None:
    kind = np.repeat(np.arange(8), 20)
    splits = kind_splits(runs_of(table, kind))
    assert len(splits) == 5
    for kept, held in splits:
        assert not set(kind[kept]) & set(kind[held])
        assert (kept ^ held).all()
    assert np.sum([held for _, held in splits], axis=0).tolist() == [1] * 160
    assert kind_splits(runs_of(table, kind // 2)) == []


def test_a_run_counts_for_what_its_first_look_with_validation_reads(table: LookTable) -> None:
    """Weight norms that begin later are not read at that run, though they are there by then."""
    late = table.columns.copy()
    norm = [i for i, name in enumerate(COLUMNS) if sources(name) == ("weight_norm",)]
    early = (table.run % 4 == 1) & (table.step < 1000)
    late[np.ix_(early, norm)] = np.nan
    changed = replace(table, columns=late)
    both = ("train_loss", "val_loss", "weight_norm")
    scored = changed.scored_by(both)
    assert set(table.run[scored] % 4) == {0, 2, 3}
    assert changed.scored_by(both[:2]).sum() == table.scored_by(both[:2]).sum()
    assert {reads for run, reads in changed.settled().items() if run % 4 == 1} == {PROFILED[:4]}
    assert {reads for run, reads in changed.settled().items() if run % 4 != 1} == {PROFILED}


def test_scores_are_those_of_models_that_did_not_see_the_run(table: LookTable) -> None:
    """With outcomes that have nothing to do with the curves no held-out score ranks them."""
    rng = np.random.default_rng(3)
    t4 = np.where(rng.random(table.t4.size) < 0.5, 5000.0, np.inf)
    drawn = replace(table.at((table.step < 4000) & (table.run % 2 == 1)), t4=t4)
    fold = np.arange(t4.size) // 2 % 4
    splits = [(fold != i, fold == i) for i in range(4)]
    lowest = lowest_of(drawn, held_out(drawn, splits, [PROFILED], seed=0)[PROFILED])
    known = np.isfinite(lowest)
    assert known.sum() == 80
    good = np.isfinite(t4[known])
    ranks = lowest[known].argsort().argsort()
    assert abs(ranks[good].mean() - ranks[~good].mean()) < 20
    # The control: the model that has seen them ranks them.
    fitted = lowest_of(drawn, fit(drawn, seed=0).probability(drawn.columns.astype(float)))[known]
    assert fitted[good].mean() - fitted[~good].mean() > 0.2


def test_a_run_that_is_like_no_training_run_is_not_judged(
    model: GrokClassifier, runs: list[Run]
) -> None:
    row = row_of(runs[1], 8)
    assert model.look(row).unlike == (None,)
    strange = row.copy()
    strange[:, 0] += 8
    (reason,) = model.look(strange).unlike
    assert reason is not None
    assert reason.startswith("the run is unlike the training runs: train_loss_level = ")
    (reason,) = model.look(row_of(runs[1], 8, 1e7)).unlike
    assert reason is not None
    assert "times the steps so far" in reason
    with pytest.raises(ValueError, match="beyond the look"):
        model.look(row_of(runs[1], 8, float(LOOKS[8])))
    with pytest.raises(ValueError, match=f"{len(COLUMNS)} columns"):
        model.look(row[:, 1:])


def test_reads_are_what_a_look_can_see(runs: list[Run]) -> None:
    channels = dict(runs[0].channels)
    del channels["train_acc"]
    row = row_of(Run(channels), 4)
    assert read_by(row) == (("train_loss", "val_loss", "val_acc", "weight_norm"),)
    assert read_by(only(row, ("train_loss", "val_acc"))) == (("train_loss", "val_acc"),)
    assert read_by(row) == (("train_loss", "val_loss", "val_acc", "weight_norm"),)


def test_what_is_not_read_changes_no_column(runs: list[Run]) -> None:
    """As if the log had never held it."""
    dense = {name: Curve(np.arange(6000), np.exp(-np.arange(6000) / 2000)) for name in PROFILED}
    row = Recording.of(dense).columns([5], BUDGET)
    for reads in all_reads():
        kept = {name: curve for name, curve in dense.items() if name in reads}
        bare = Recording.of(kept).columns([5], BUDGET)
        if SPECTRUM not in reads:
            bare = only(bare, tuple(name for name in READABLE if name != SPECTRUM))
        np.testing.assert_array_equal(only(row, reads), bare)
    assert all(sources(name) == (SPECTRUM,) for name in SIGNATURE)
    assert sources(BUDGET_COLUMN) == ()


@pytest.mark.parametrize("cadence", CADENCES)
def test_a_coarser_log_keeps_samples_of_the_finer(cadence: int) -> None:
    steps = np.arange(0, 60_000)
    run = Run({"train_loss": Curve(steps, np.ones(steps.size))}, max_steps=60_000)
    draw = 2 * CADENCES.index(cadence) + 1
    count = len(as_logged(run, draw)["train_loss"])
    assert len(as_logged(run, 0)["train_loss"]) == 60_000
    if cadence:
        assert count == 60_000 // cadence
    else:
        assert 60 < count < 120  # eight an octave, from step 4 on
    short = Run({"train_loss": Curve(steps[:300], np.ones(300))}, max_steps=300)
    assert len(as_logged(short, draw)["train_loss"]) >= (39 if cadence == 0 else 290)


def judged(model: GrokClassifier, run: Run, look: int, **options: object) -> Verdict:
    row = row_of(run, look)[0]
    kwargs = {"reads": read_by(row[None])[0], "budget": BUDGET, **options}
    return judge(model, row, look, **kwargs)  # type: ignore[arg-type]  # options of any kind


def test_a_verdict_says_what_was_read_and_why(model: GrokClassifier, runs: list[Run]) -> None:
    limit = model.threshold(PROFILED, 0.05)
    assert limit is not None
    verdicts = [judged(model, run, 9) for run in runs]
    for verdict in verdicts:
        assert verdict.probability is not None
        assert verdict.reads == PROFILED
        assert verdict.threshold == limit
        assert (verdict.action == "abort") == (verdict.probability < limit)
        assert verdict.reason.startswith("After 4525 steps, P(generalises by 6400) = ")
        assert read_and_missing(verdict) == (
            "read: train_loss, train_acc, weight_norm, val_loss, val_acc; missing: spectrum"
        )
    stopped = [verdict.action == "abort" for verdict in verdicts]
    assert np.mean(stopped[::2]) <= 0.05
    # The threshold is the lowest of 80 scores, and varies from draw to draw.
    assert np.mean(stopped[1::2]) > 0.2


def test_nothing_is_stopped_without_validation_or_good_runs(
    model: GrokClassifier, runs: list[Run]
) -> None:
    for run in runs[1:20:2]:
        blind = judged(model, run, 9, reads=("train_loss", "weight_norm"))
        assert blind.action == "continue"
        assert "nothing is stopped without a validation loss or accuracy" in blind.reason
        strict = judged(model, run, 9, max_false_abort=0.001)
        assert strict.action == "continue"
        assert "80 of the 2995 good runs" in strict.reason


def test_a_look_without_a_new_sample_is_skipped(model: GrokClassifier, runs: list[Run]) -> None:
    early = runs[1].channels["val_loss"]
    channels = {
        **runs[1].channels,
        "val_loss": Curve(early.steps[:40], early.values[:40]),
    }
    verdict = judge(model, row_of(Run(channels), 9)[0], 9, reads=PROFILED, budget=BUDGET)
    assert verdict.action == "continue"
    assert verdict.reason == "No sample of val_loss since step 3200; look skipped."
