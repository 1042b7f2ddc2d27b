"""Training finds what is there, invents nothing, keeps its splits apart, and says what it used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import planted_run, planted_sweep, read
from sklearn.metrics import roc_auc_score

from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.configuration import CONTEXT_TERMS, context_terms
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.reading import WINDOW_READS, columns_read
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run, window
from grokpredict.runs.sweep import LeftOut, Sweep
from grokpredict.training.cross_validation import FOLDS, fit_reads, folds
from grokpredict.training.fit import exported
from grokpredict.training.gathering import train
from grokpredict.training.ranking import auroc, auroc_intervals
from grokpredict.training.table import (
    Runs,
    columns,
    extract_grids,
    known_runs,
    step_grids,
    training_rows,
)
from grokpredict.training.trainer import TrainingReport

ONE = {"horizons": (400,), "strides": (1,)}


@pytest.fixture(scope="module")
def found() -> tuple[GrokClassifier, TrainingReport]:
    return train(planted_sweep(120, repetitions=2, seed=1, families=("a", "b")), **ONE)


def test_a_context_with_less_than_every_training_run_knew_is_not_read(
    found: tuple[GrokClassifier, TrainingReport],
) -> None:
    classifier, _ = found
    whole = Configuration(optimizer="adamw", learning_rate=1e-3, weight_decay=0.1)
    assert classifier.context_fields == ("learning_rate", "optimizer", "weight_decay")
    epochs = window([*planted_sweep(1, repetitions=1, seed=2).runs] * 3, 400)
    configurations = [
        whole,
        dataclasses.replace(whole, optimizer=None),
        dataclasses.replace(whole, weight_decay=None),
    ]
    looks = classifier.look(epochs, horizon=400, configurations=configurations, budget=2000)
    assert read(classifier, looks, "configuration") == [True, False, False]


# -- what is learnt --------------------------------------------------------------------------


def test_a_planted_signal_is_found(found: tuple[GrokClassifier, TrainingReport]) -> None:
    classifier, report = found
    for figures in report.figures:
        assert figures.auroc.value is not None
        assert figures.auroc.value > 0.95
        # The learning rate was drawn without regard to the outcome.
        assert figures.configuration_auroc.value == pytest.approx(0.5, abs=0.15)
        assert figures.lead.low is not None
        assert figures.lead.low > 0.2
        assert set(figures.family_auroc) == {"a", "b"}
        assert min(figures.family_auroc.values()) > 0.9
    # And it holds on runs that were not in the sweep at all.
    fresh = planted_sweep(100, seed=99).runs
    looks = classifier.look(window(fresh, 400), horizon=400, budget=4000)
    good = [bool(run.channels["val_acc"].values[-3] > 0.95) for run in fresh]
    assert roc_auc_score(good, looks.probability) > 0.95


def test_where_there_is_no_signal_none_is_reported() -> None:
    _, report = train(planted_sweep(160, signal=0.0, repetitions=2, seed=2), **ONE)
    for figures in report.figures:
        assert figures.auroc.value == pytest.approx(0.5, abs=0.12)
        assert figures.lead.low is not None
        assert figures.lead.low < 0.05


def test_an_outcome_that_the_configuration_tells_gives_the_loss_no_lead() -> None:
    rng = np.random.default_rng(5)
    runs = []
    for i in range(160):
        run = planted_run(rng, signal=0.0, configuration=i, seed=0)
        good = (
            run.configuration.learning_rate is not None and run.configuration.learning_rate > 1e-3
        )
        steps = run.channels["val_acc"].steps
        accuracy = np.where(steps >= (2000 if good else 10**9), 0.99, 0.1)
        channels = {**run.channels, "val_acc": Curve(steps, accuracy)}
        runs.append(dataclasses.replace(run, channels=channels))
    _, report = train(Sweep(runs), **ONE)
    loss, both = report.figures
    assert loss.auroc.value == pytest.approx(0.5, abs=0.15)
    assert both.auroc.value is not None
    assert both.auroc.value > 0.95
    assert both.configuration_auroc.value is not None
    assert both.configuration_auroc.value > 0.95
    assert both.lead.value == pytest.approx(0.0, abs=0.03)


def test_the_same_data_and_seed_give_the_same_file(tmp_path: Path) -> None:
    for name in "ab":
        train(planted_sweep(60, seed=4), **ONE)[0].save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_several_processes_give_the_same_figures() -> None:
    sweep = planted_sweep(60, seed=4)
    one, many = (train(sweep, jobs=jobs, **ONE)[1] for jobs in (1, 2))
    assert one == many


# -- splits ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    n_configurations=st.integers(8, 40),
    repetitions=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_no_configuration_is_on_both_sides_of_a_split(
    n_configurations: int, repetitions: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    configuration = np.repeat(np.arange(n_configurations), repetitions)
    order = rng.permutation(configuration.size)
    good = rng.random(configuration.size) < 0.5
    good[configuration == 0] = True
    good[configuration == 1] = False
    good[configuration == 2] = True
    good[configuration == 3] = False
    n = configuration.size
    runs = Runs(
        runs=(),
        configurations=(Configuration(),) * n,
        t4=np.where(good, 1000.0, np.inf)[order],
        budget=np.full(n, 4000.0),
        configuration=configuration[order],
        network=configuration[order],
        family=(None,) * n,
    )
    held_out = np.zeros(n, dtype=int)
    for fit, held in folds(runs, 5, seed % 1000):
        assert not np.any(fit & held)
        assert np.all(fit | held)
        assert not set(runs.configuration[fit]) & set(runs.configuration[held])
        held_out += held
    assert np.all(held_out == 1)


def test_many_networks_are_split_as_wholes() -> None:
    sweep = planted_sweep(120, seed=13)

    def of_networks(number: int) -> Runs:
        runs = [
            dataclasses.replace(
                run,
                hparams={**run.hparams, "family": "a", "n_parameters": 100 + i % number},
                configuration=dataclasses.replace(run.configuration, n_parameters=100 + i % number),
            )
            for i, run in enumerate(sweep.runs)
        ]
        return known_runs(Sweep(runs), None, None)[0]

    many, few = of_networks(40), of_networks(10)
    assert np.unique(many.network).size == 40
    for fit, held in folds(many, 5, 0):
        assert not set(many.network[fit]) & set(many.network[held])
    # Of ten the next runs are likely to be of one of them.
    np.testing.assert_array_equal(few.network, few.configuration)


def _lowest_out_of_fold(runs: Runs, horizons: tuple[int, ...]) -> np.ndarray:
    """For each generalising configuration, by the model of the fold that held it out."""
    grids = extract_grids(runs, [(h, 1) for h in horizons], SignalSettings())
    loss = WINDOW_READS[0]
    lowest: dict[int, float] = {}
    for fit, held in folds(runs, FOLDS, 0):
        rows = training_rows(runs, grids, fit, np.random.default_rng(0))
        assert not set(runs.configuration[rows.run]) & set(runs.configuration[held])
        trees = fit_reads(rows, loss, seed=0)
        for grid in grids:
            asked = np.flatnonzero((held & runs.generalised)[grid.run])
            index = grid.run[asked]
            # Only looks before the run generalised.
            assert np.all(runs.t4[index] > grid.horizon)
            x = columns(runs, grid, asked, runs.budget[index])[:, columns_read(loss)]
            for own, score in zip(runs.configuration[index], trees.probability(x), strict=True):
                lowest[own] = min(score, lowest.get(own, np.inf))
    return np.sort(list(lowest.values()))


@pytest.mark.parametrize(
    ("repetitions", "horizons"), [(3, (400,)), (1, (200, 400, 800, 1600))], ids=["seeds", "looks"]
)
def test_the_threshold_rests_on_models_that_did_not_see_the_run(
    repetitions: int, horizons: tuple[int, ...]
) -> None:
    sweep = planted_sweep(90, repetitions=repetitions, seed=6, steps=1700)
    classifier, report = train(sweep, horizons=horizons, strides=(1,))
    runs, _ = known_runs(sweep, None, LabelRule())
    late = runs.generalised & (runs.t4 > horizons[0])
    # Repetitions of one configuration count once, with the lowest score.
    expected = np.unique(runs.configuration[late]).size
    assert 20 < expected < 90
    for reads in WINDOW_READS[:2]:
        assert classifier.n_calibration(reads, 1) == expected
    assert set(report.calibration.values()) == {expected}
    np.testing.assert_allclose(
        _lowest_out_of_fold(runs, horizons), classifier.readers[0].scores[1], rtol=0, atol=1e-12
    )


# -- the table -------------------------------------------------------------------------------


def shortened(run: Run, steps: int) -> Run:
    """The run as it looks when it is stopped early."""
    channels = {
        name: Curve(curve.steps[curve.steps < steps], curve.values[curve.steps < steps])
        for name, curve in run.channels.items()
    }
    return dataclasses.replace(run, channels=channels)


def test_every_run_is_accounted_for() -> None:
    sweep = planted_sweep(60, seed=8)
    runs = list(sweep.runs)
    runs[0] = dataclasses.replace(runs[0], channels={"train_loss": runs[0].loss})
    doomed = next(i for i in range(1, 60) if max(runs[i].channels["val_acc"].values) < 0.9)
    runs[doomed] = shortened(runs[doomed], 2000)
    short = [i for i in range(1, 60) if i != doomed][:3]
    runs[short[0]] = dataclasses.replace(
        runs[short[0]],
        channels={
            **runs[short[0]].channels,
            "train_loss": Curve(np.arange(100), np.ones(100)),
        },
    )
    bad = runs[short[1]].loss.values.copy()
    bad[50:] = np.nan
    runs[short[1]] = dataclasses.replace(
        runs[short[1]],
        channels={**runs[short[1]].channels, "train_loss": Curve(np.arange(500), bad)},
    )
    steps = runs[short[2]].channels["val_acc"].steps
    runs[short[2]] = dataclasses.replace(
        runs[short[2]],
        channels={
            **runs[short[2]].channels,
            "val_acc": Curve(steps, np.where(steps >= 100, 0.99, 0.1)),
        },
    )
    _, report = train(Sweep(runs, [LeftOut("x.csv", "empty")]), **ONE)
    counts = report.counts
    assert (counts.runs, counts.left_out, counts.no_metric) == (61, 1, 1)
    assert (counts.unfit, counts.diverged, counts.in_window) == (1, 1, 1)
    # Those that met the accuracy at the very end are not confirmed either.
    assert counts.censored >= 1
    total = dataclasses.asdict(counts)
    del total["runs"], total["configurations"], total["budgets"]
    assert sum(total.values()) == 61
    assert counts.configurations == counts.generalised + counts.not_generalised


def test_no_budget_is_asked_about_beyond_what_was_watched() -> None:
    runs, _ = known_runs(planted_sweep(40, seed=9), None, LabelRule())
    grids = extract_grids(runs, [(200, 1), (400, 1)], SignalSettings())
    rows = training_rows(runs, grids, np.ones(len(runs), dtype=bool), np.random.default_rng(0))
    names = WINDOW_COLUMNS
    budget = 10 ** rows.x[:, names.index("log10_budget")]
    horizon = 10 ** rows.x[:, names.index("log10_horizon")]
    assert np.all(budget > horizon)
    assert np.all(budget <= runs.budget[rows.run] * (1 + 1e-12))
    np.testing.assert_array_equal(rows.y, runs.t4[rows.run] <= np.round(budget))
    # Each window has its own budget once, and as many rows as any other.
    own = np.isclose(budget, runs.budget[rows.run])
    assert own.sum() == sum(len(grid.run) for grid in grids)
    assert len(set(np.bincount(rows.run[horizon > 300]))) <= 2


def test_a_run_planned_for_less_than_the_budget_is_censored_even_if_it_generalised() -> None:
    sweep = planted_sweep(20, seed=10, planned=4000)
    runs, lost = known_runs(sweep, 8000, LabelRule())
    assert len(runs.runs) == 0
    assert lost["censored"] == 20
    runs, lost = known_runs(sweep, 2000, LabelRule())
    assert len(runs.runs) == 20
    assert set(runs.budget) == {2000.0}


def test_runs_without_a_plan_were_to_be_watched_as_long_as_the_longest() -> None:
    sweep = planted_sweep(20, seed=10)
    runs = [dataclasses.replace(run, max_steps=None) for run in sweep.runs]
    # A sweep that stops a run soon after it has generalised.
    t4 = [known_runs(Sweep([run]), None, LabelRule())[0].t4 for run in runs]
    stopped = [
        shortened(run, int(own[0]) + 150) if own.size and np.isfinite(own[0]) else run
        for run, own in zip(runs, t4, strict=True)
    ]
    known, _ = known_runs(Sweep(stopped), None, LabelRule())
    assert set(known.budget) == {4000.0}
    assert set(known.budget_source) == {"4000 steps, the longest run"}
    assert known.generalised.sum() == sum(own.size and np.isfinite(own[0]) for own in t4)


def test_a_coarse_sweep_serves_its_own_grid_and_coarser_ones() -> None:
    sweep = planted_sweep(60, seed=11, steps=1700, stride=10)
    classifier, report = train(sweep, horizons=(400, 1600), strides=None)
    assert classifier.strides == (10, 50)
    assert classifier.horizons_on(10) == (400, 1600)
    assert classifier.horizons_on(50) == (1600,)
    assert {figures.stride for figures in report.figures} == {10}


def test_an_unusual_grid_is_learnt_too() -> None:
    runs, _ = known_runs(planted_sweep(20, seed=11, steps=500, stride=4), None, LabelRule())
    assert (400, 4) in step_grids(runs, (400,), None)
    assert (400, 4) not in step_grids(runs, (400,), (1, 5))


def test_context_terms_are_the_formulas() -> None:
    configuration = Configuration("adamw", 1e-3, 0.5, 0.9, 64, 640, 64_000)
    row = dict(
        zip(CONTEXT_TERMS, context_terms([configuration], 400, np.array([1e4]))[0], strict=True)
    )
    assert row["log10_learning_rate"] == pytest.approx(-3)
    assert row["log10_lr_wd_budget"] == pytest.approx(np.log10(1e-3 * 0.5 * 1e4))
    assert row["log10_lr_budget"] == pytest.approx(1)
    assert row["log10_lr_wd_horizon"] == pytest.approx(np.log10(1e-3 * 0.5 * 400))
    assert row["log10_train_size"] == pytest.approx(np.log10(640))
    assert row["log10_batch_over_train_size"] == pytest.approx(-1)
    assert row["log10_parameters_over_train_size"] == pytest.approx(2)
    assert (row["optimizer_adamw"], row["optimizer_sgd"], row["no_weight_decay"]) == (1, 0, 0)
    none = Configuration("lion", 1e-3, 0.0)
    row = dict(zip(CONTEXT_TERMS, context_terms([none], 400, np.array([1e4]))[0], strict=True))
    assert row["no_weight_decay"] == 1
    assert np.isnan(row["log10_weight_decay"])
    assert row["optimizer_other"] == 1
    assert np.isnan(context_terms([None, Configuration()], 400, np.array([1e4, 1e4]))).all()


# -- refusals --------------------------------------------------------------------------------


def test_too_few_runs() -> None:
    with pytest.raises(ValueError, match=r"needs 10 runs of each outcome, .* add runs"):
        train(planted_sweep(15, seed=12), **ONE)


@pytest.mark.parametrize("t4", [2000, 10**9])
def test_one_outcome_only(t4: int) -> None:
    runs = []
    for run in planted_sweep(40, seed=12).runs:
        steps = run.channels["val_acc"].steps
        accuracy = Curve(steps, np.where(steps >= t4, 0.99, 0.1))
        runs.append(dataclasses.replace(run, channels={**run.channels, "val_acc": accuracy}))
    with pytest.raises(ValueError, match="runs of each outcome, 0 "):
        train(Sweep(runs), **ONE)


def test_mostly_unusable() -> None:
    runs = [
        dataclasses.replace(run, channels={"train_loss": run.loss}) if i % 4 else run
        for i, run in enumerate(planted_sweep(120, seed=13).runs)
    ]
    with pytest.raises(ValueError, match=r"at least a third .* 90 have no validation metric"):
        train(Sweep(runs), **ONE)
    with pytest.raises(ValueError, match="at least a third"):
        train(Sweep([]), **ONE)


def test_a_horizon_that_nobody_reaches_is_left_out_and_one_alone_refused() -> None:
    sweep = planted_sweep(60, seed=14)
    assert train(sweep, horizons=(400, 3200), strides=(1,))[0].horizons == (400,)
    with pytest.raises(ValueError, match="too short or on another step grid"):
        train(sweep, horizons=(3200,), strides=(1,))


# -- the report ------------------------------------------------------------------------------


def test_report_is_json_and_in_the_card(found: tuple[GrokClassifier, TrainingReport]) -> None:
    classifier, report = found
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(classifier.card["report"]))
    assert len(classifier.card["data_sha256"]) == 64
    assert classifier.card["versions"]["scikit-learn"]


def test_progress_counts_every_window() -> None:
    seen: list[tuple[int, int]] = []
    train(planted_sweep(60, seed=4), progress=lambda *own: seen.append(own), **ONE)
    assert seen[-1][0] == seen[-1][1] > 50


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(
        st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=4, max_size=40
    )
)
def test_area_equals_scikit_learns(data: list[tuple[bool, int, int]]) -> None:
    good, score, weight = (np.array(column) for column in zip(*data, strict=True))
    score = score.astype(float)
    ours = auroc(good, score, weight.astype(float))
    if not (weight[good].sum() and weight[~good].sum()):
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(roc_auc_score(good, score, sample_weight=weight))


def test_interval_has_its_coverage_and_widens_with_repetitions() -> None:
    rng = np.random.default_rng(0)
    # Normal scores one standard deviation apart: the area is Phi(1 / sqrt 2) = 0.760.
    inside = 0
    for _ in range(60):
        good = rng.random(150) < 0.5
        score = rng.standard_normal(150) + good
        (area,), _ = auroc_intervals(good, score[None], np.arange(150), rng)
        assert area.low is not None
        assert area.high is not None
        inside += area.low <= 0.760 <= area.high
    assert 51 <= inside <= 60
    # The same runs ten times over tell nothing new.
    narrow, wide = (
        auroc_intervals(np.tile(good, 10), np.tile(score, 10)[None], groups, rng)[0][0]
        for groups in (np.arange(1500), np.tile(np.arange(150), 10))
    )
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert wide.high - wide.low == pytest.approx(area.high - area.low, rel=0.25)


def test_trees_that_do_not_give_scikit_learns_probabilities_are_not_exported() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    model = HistGradientBoostingClassifier(max_iter=3).fit(x, x[:, 0] > 0)
    exported(model, x)
    # As if a later version added something that its private attributes do not show.
    theirs = model.predict_proba
    model.predict_proba = lambda rows: theirs(rows) + 1e-6
    with pytest.raises(RuntimeError, match="cannot be exported"):
        exported(model, x)


def test_a_large_sweep_is_drawn_from_by_whole_configurations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from grokpredict.training import table as training_table

    monkeypatch.setattr(training_table, "MAX_RUNS", 60)
    monkeypatch.setattr(training_table, "MAX_WINDOWS", 100)
    sweep = planted_sweep(60, repetitions=2, seed=1)
    runs, _ = known_runs(sweep, None, LabelRule())
    grids = extract_grids(runs, [(200, 1), (400, 1)], SignalSettings())
    some, windows = training_table.drawn(runs, grids, training_table.some_networks(runs, 0))
    assert 56 <= len(some) <= 60
    kept = np.isin(runs.configuration, some.configuration)
    np.testing.assert_array_equal(runs.t4[kept], some.t4)
    assert kept.sum() == len(some)
    for all_of, own in zip(grids, windows, strict=True):
        used = kept[all_of.run]
        np.testing.assert_array_equal(own.features, all_of.features[used])
        np.testing.assert_array_equal(some.t4[own.run], runs.t4[all_of.run[used]])
    rows = training_rows(runs, grids, np.ones(len(runs), bool), np.random.default_rng(0))
    assert 200 < len(rows.y) < 600
    classifier, report = train(sweep, **ONE)
    # All runs count, and are fitted to; the figures and the threshold are of those drawn.
    assert report.counts.generalised + report.counts.not_generalised > 100
    assert report.figures[0].n_runs <= 60
    assert 0 < classifier.n_calibration(("train_loss",), 1) <= 30
