"""The model that reads whatever a run has: its thresholds, its budgets, its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.features.profile import LOOKS, PROFILED, Bins, looks_before, profiles
from grokpredict.model.looks import Calibration, LookModel, all_reads, only, read_by
from grokpredict.model.reading import VALIDATION
from grokpredict.model.thresholds import abort_threshold
from grokpredict.model.verdict import Verdict, judge_look, read_and_missing
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.training.looks import (
    CADENCES,
    LookTable,
    binned,
    fit_looks,
    held_out_probability,
    kind_folds,
    lowest_of,
    rows_of,
    train_looks,
)

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


@pytest.fixture(scope="module")
def table(runs: list[Run]) -> LookTable:
    t4 = np.where(np.arange(len(runs)) % 2 == 0, 5000.0, np.inf)
    bins = [binned(run, i) for i, run in enumerate(runs)]
    return LookTable.of(bins, t4, np.full(len(runs), float(BUDGET)))


@pytest.fixture(scope="module")
def model(table: LookTable) -> LookModel:
    number = np.arange(table.t4.size)
    fold = number % 4
    splits = [(fold != i, fold == i) for i in range(4)]
    found = train_looks(table, splits, number, number, seed=0)
    assert found is not None
    return found


def seen(model: LookModel, run: Run, look: int, budget: float = BUDGET) -> float:
    levels = profiles({name: Bins.of(name, own) for name, own in run.channels.items()}, [look])
    return float(model.look(levels, LOOKS[[look]], np.array([budget])).probability[0])


def test_no_look_is_at_a_run_that_had_generalised(table: LookTable) -> None:
    assert (table.step < table.t4[table.run]).all()
    assert (table.step < table.budget[table.run]).all()
    assert np.isfinite(table.profiles[:, 0, 0]).all()
    doomed = table.run == 1
    assert table.step[doomed][-1] == looks_before(BUDGET)[-1]


def test_it_learns_what_was_planted(model: LookModel, runs: list[Run]) -> None:
    """By step 4 525 the validation loss of every good run has turned."""
    good, doomed = (np.array([seen(model, run, 9) for run in runs[i::2]]) for i in (0, 1))
    assert np.median(good) > 0.9
    assert np.median(doomed) < 0.1


def test_p_never_falls_as_the_budget_grows(model: LookModel, runs: list[Run]) -> None:
    budgets = np.geomspace(LOOKS[5] + 1, 300_000, 60)
    for run in runs[:8]:
        found = [seen(model, run, 5, budget) for budget in budgets]
        assert (np.diff(found) >= 0).all()
        assert found[-1] > found[0]


def test_a_budget_is_a_share_and_may_be_300_000_steps(table: LookTable) -> None:
    longer = replace(table, step=30 * table.step, budget=30 * table.budget, t4=30 * table.t4)
    x, y = rows_of(table, np.random.default_rng(0))
    other, also = rows_of(longer, np.random.default_rng(0))
    column = COLUMNS.index(BUDGET_COLUMN)
    # The nearest budget is at least one step later, which is all that is not a ratio.
    np.testing.assert_allclose(x[:, column], other[:, column], atol=2e-2)
    assert np.mean(y != also) < 0.01


def test_what_is_left_out_is_missing_at_all_looks_at_a_run(table: LookTable) -> None:
    x, _ = rows_of(table, np.random.default_rng(1))
    run = np.repeat(table.run, len(x) // table.run.size)
    for name, low, high in (("val_loss_level", 0.5, 0.85), ("weight_norm_change", 0.3, 0.6)):
        known = np.isfinite(x[:, COLUMNS.index(name)])
        own = np.array([known[run == i].mean() for i in np.unique(run)])
        if name == "val_loss_level":
            assert set(own.tolist()) == {0.0, 1.0}
        assert low < known.mean() < high
    assert np.isfinite(x[:, COLUMNS.index("train_loss_level")]).all()


def test_a_threshold_is_that_of_the_channels_read(model: LookModel, table: LookTable) -> None:
    assert set(model.calibrations) == {own for own in all_reads() if set(own) & set(VALIDATION)}
    for reads, own in model.calibrations.items():
        assert own.independent.size == model.n_calibration(reads) == 80
        assert model.threshold(reads, 0.05) == abort_threshold(own.independent, 0.05)
    # Nothing is stopped by what says nothing of other tasks.
    assert model.threshold(("train_loss",), 0.05) is None
    assert model.threshold(("train_loss", "train_acc", "weight_norm"), 0.5) is None


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


def test_kinds_are_left_out_whole() -> None:
    kind = np.repeat(np.arange(7), 10)
    good = np.tile([True, False], 35)
    splits = kind_folds(kind, good)
    assert len(splits) == 5
    for fit, held in splits:
        assert not set(kind[fit]) & set(kind[held])
        assert (fit ^ held).all()
    assert np.sum([held for _, held in splits], axis=0).tolist() == [1] * 70
    assert kind_folds(kind[:40], good[:40]) == []


def test_scores_are_those_of_models_that_did_not_see_the_run(table: LookTable) -> None:
    """With outcomes that have nothing to do with the curves no held-out score ranks them."""
    rng = np.random.default_rng(3)
    t4 = np.where(rng.random(table.t4.size) < 0.5, 5000.0, np.inf)
    kept = (table.step < 4000) & (table.run % 2 == 1)
    drawn = LookTable(table.profiles[kept], table.step[kept], table.run[kept], t4, table.budget)
    fold = np.arange(t4.size) // 2 % 4
    splits = [(fold != i, fold == i) for i in range(4)]
    scores = held_out_probability(drawn, splits, [PROFILED], seed=0)[PROFILED]
    lowest = lowest_of(drawn, scores)
    known = np.isfinite(lowest)
    assert known.sum() == 80
    good = np.isfinite(t4[known])
    ranks = lowest[known].argsort().argsort()
    assert abs(ranks[good].mean() - ranks[~good].mean()) < 20
    fitted = fit_looks(drawn, seed=0).look(
        drawn.profiles.astype(float), drawn.step, drawn.budget[drawn.run]
    )
    seen_lowest = lowest_of(drawn, fitted.probability)[known]
    assert seen_lowest[good].mean() - seen_lowest[~good].mean() > 0.2


def test_a_run_that_is_like_no_training_run_is_not_judged(
    model: LookModel, runs: list[Run]
) -> None:
    channels = {name: Bins.of(name, own) for name, own in runs[1].channels.items()}
    levels = profiles(channels, [8])
    at, budget = LOOKS[[8]], np.array([float(BUDGET)])
    assert model.look(levels, at, budget).stranger == (None,)
    strange = levels.copy()
    strange[:, 0] += 4
    (reason,) = model.look(strange, at, budget).stranger
    assert reason is not None
    assert reason.startswith("the run is unlike the training runs: train_loss_level = ")
    (reason,) = model.look(levels, at, np.array([1e7])).stranger
    assert reason is not None
    assert "times the steps so far" in reason
    with pytest.raises(ValueError, match="beyond the look"):
        model.look(levels, at, at.astype(float))


def test_reads_are_what_a_look_can_see(runs: list[Run]) -> None:
    channels = {name: Bins.of(name, own) for name, own in runs[0].channels.items()}
    del channels["train_acc"]
    levels = profiles(channels, [4])
    assert read_by(levels) == (("train_loss", "val_loss", "val_acc", "weight_norm"),)
    assert read_by(only(levels, ("train_loss", "val_acc"))) == (("train_loss", "val_acc"),)


def test_too_few_validation_metrics_make_no_model(table: LookTable) -> None:
    levels = table.profiles.copy()
    rows = [PROFILED.index(name) for name in VALIDATION]
    levels[np.ix_(table.run % 4 < 3, rows)] = np.nan
    number = np.arange(table.t4.size)
    few = replace(table, profiles=levels)
    assert train_looks(few, [], number, number, seed=0) is None


@pytest.mark.parametrize("cadence", CADENCES)
def test_a_coarser_log_keeps_samples_of_the_finer(cadence: int) -> None:
    steps = np.arange(0, 60_000)
    run = Run({"train_loss": Curve(steps, np.ones(steps.size))}, max_steps=60_000)
    draw = 2 * CADENCES.index(cadence) + 1
    count = int(binned(run, draw)["train_loss"].count.sum())
    whole = int(binned(run, 0)["train_loss"].count.sum())
    assert whole == pytest.approx(60_000, abs=3)
    if cadence:
        assert count == 60_000 // cadence
    else:
        assert 60 < count < 120  # eight an octave, from step 4 on
    short = Run({"train_loss": Curve(steps[:300], np.ones(300))}, max_steps=300)
    assert binned(short, draw)["train_loss"].count.sum() >= (39 if cadence == 0 else 290)


def test_a_file_gives_the_same_model(model: LookModel, table: LookTable, tmp_path: Path) -> None:
    np.savez(tmp_path / "looks.npz", allow_pickle=False, **model.arrays())
    with np.load(tmp_path / "looks.npz", allow_pickle=False) as stored:
        again = LookModel.from_arrays(dict(stored), [list(own) for own in model.calibrations])
    looks = (table.profiles.astype(float), table.step, table.budget[table.run])
    np.testing.assert_array_equal(model.look(*looks).probability, again.look(*looks).probability)
    for reads in all_reads():
        assert model.threshold(reads, 0.05) == again.threshold(reads, 0.05)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("low", np.zeros(3)),
        ("low", np.full(len(COLUMNS), np.inf)),
        ("scores.0", np.array([2.0])),
        ("scores.0", np.array([np.nan])),
        ("scores.0", np.array([0.2, 0.1])),
        ("sizes.0", np.array([3])),
        ("trees.feature", None),
    ],
)
def test_a_broken_file_is_refused(model: LookModel, name: str, value: np.ndarray | None) -> None:
    arrays = dict(model.arrays())
    arrays[name] = arrays[name] + len(COLUMNS) if value is None else value
    with pytest.raises(ValueError, match=r"must|compare"):
        LookModel.from_arrays(arrays, list(model.calibrations))
    with pytest.raises(ValueError, match="channels that this version reads"):
        LookModel.from_arrays(dict(model.arrays()), [("train_loss", "momentum")])


def judged(model: LookModel, run: Run, look: int, **options: object) -> Verdict:
    levels = profiles({name: Bins.of(name, own) for name, own in run.channels.items()}, [look])
    reads = read_by(levels)[0]
    kwargs = {"reads": reads, "budget": BUDGET, **options}
    return judge_look(model, levels[0], look, **kwargs)  # type: ignore[arg-type]


def test_a_verdict_says_what_was_read_and_why(model: LookModel, runs: list[Run]) -> None:
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
            "read: train_loss, train_acc, weight_norm, val_loss, val_acc"
        )
    stopped = [verdict.action == "abort" for verdict in verdicts]
    assert np.mean(stopped[::2]) <= 0.05
    assert np.mean(stopped[1::2]) > 0.5


def test_nothing_is_stopped_without_validation_or_good_runs(
    model: LookModel, runs: list[Run]
) -> None:
    for run in runs[1:20:2]:
        blind = judged(model, run, 9, reads=("train_loss", "weight_norm"))
        assert blind.action == "continue"
        assert "without a validation loss or accuracy" in blind.reason
        strict = judged(model, run, 9, max_false_abort=0.001)
        assert strict.action == "continue"
        assert "nothing is stopped: 80 good runs" in strict.reason


def test_a_look_without_a_new_sample_is_skipped(model: LookModel, runs: list[Run]) -> None:
    channels = {name: Bins.of(name, own) for name, own in runs[1].channels.items()}
    early = runs[1].channels["val_loss"]
    channels["val_loss"] = Bins.of("val_loss", Curve(early.steps[:40], early.values[:40]))
    levels = profiles(channels, [9])[0]
    verdict = judge_look(model, levels, 9, reads=PROFILED, budget=BUDGET)
    assert verdict.action == "continue"
    assert verdict.reason == "no sample of val_loss since step 3200; look skipped"
