"""Training finds what is there, invents nothing, keeps its splits apart, and says what it used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import planted_run, planted_sweep
from sklearn.metrics import roc_auc_score

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.features.configuration import CONFIGURATION_COLUMNS, configuration_columns
from grokpredict.features.profile import LOOKS
from grokpredict.features.recording import Recording
from grokpredict.model.channels import READABLE, all_reads, may_stop
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import LeftOut, Sweep
from grokpredict.training import trainer
from grokpredict.training.cross_validation import fit, lowest_of
from grokpredict.training.fit import exported
from grokpredict.training.gathering import records_of_many
from grokpredict.training.outcomes import Runs, known_runs, outcomes
from grokpredict.training.pipeline import train
from grokpredict.training.ranking import auroc_intervals, aurocs
from grokpredict.training.report import LookFigures, TrainingReport
from grokpredict.training.splits import network_splits
from grokpredict.training.table import LookTable, rows_to_fit

#: The kind of run that planted ones are: at each step a loss, every fiftieth an accuracy.
READS = ("train_loss", "val_acc", "spectrum")


@pytest.fixture(scope="module")
def found() -> tuple[GrokClassifier, TrainingReport]:
    return train(planted_sweep(120, repetitions=2, seed=1, families=("a", "b")))


def figures_of(report: TrainingReport, reads: str, step: int = 400) -> LookFigures:
    (one,) = [own for own in report.figures if (own.reads, own.step) == (reads, step)]
    return one


def table_of(sweep: Sweep) -> tuple[Runs, LookTable]:
    records = records_of_many(sweep.runs)
    kept, runs, _ = outcomes([record.facts for record in records], None)
    return runs, LookTable.of([records[i] for i in kept], runs)


# -- what is learnt --------------------------------------------------------------------------


def test_a_planted_signal_is_found(found: tuple[GrokClassifier, TrainingReport]) -> None:
    classifier, report = found
    for reads in ("training loss", "signature alone"):
        figures = figures_of(report, reads)
        assert figures.auroc.value is not None
        assert figures.auroc.value > 0.95
        # The learning rate was drawn without regard to the outcome.
        assert figures.configuration_auroc.value == pytest.approx(0.5, abs=0.15)
        assert figures.lead.low is not None
        assert figures.lead.low > 0.2
    # Notsawo's forecast: the stronger the oscillation, the more likely.
    activity = figures_of(report, "activity").auroc.value
    assert activity is not None
    assert activity > 0.95
    # And it holds on runs that were not in the sweep at all.
    fresh = planted_sweep(100, seed=99).runs
    rows = np.concatenate([Recording.of(run.channels).columns([2], 4000) for run in fresh])
    good = [bool(run.channels["val_acc"].values[-3] > 0.95) for run in fresh]
    assert roc_auc_score(good, classifier.look(rows).probability) > 0.95


def test_where_there_is_no_signal_none_is_reported() -> None:
    _, report = train(planted_sweep(160, signal=0.0, repetitions=2, seed=2))
    for figures in report.figures:
        if figures.step <= 400:
            assert figures.auroc.value == pytest.approx(0.5, abs=0.14)
            assert figures.lead.low is not None
            assert figures.lead.low < 0.05


def test_an_outcome_that_the_configuration_tells_gives_the_loss_no_lead() -> None:
    rng = np.random.default_rng(5)
    runs = []
    for i in range(160):
        run = planted_run(rng, signal=0.0, configuration=i, seed=0)
        good = (run.configuration.learning_rate or 0) > 1e-3
        steps = run.channels["val_acc"].steps
        accuracy = np.where(steps >= (2000 if good else 10**9), 0.99, 0.1)
        channels = {**run.channels, "val_acc": Curve(steps, accuracy)}
        runs.append(dataclasses.replace(run, channels=channels))
    _, report = train(Sweep(runs))
    loss = figures_of(report, "training loss")
    assert loss.auroc.value == pytest.approx(0.5, abs=0.15)
    assert loss.configuration_auroc.value is not None
    assert loss.configuration_auroc.value > 0.95
    assert loss.lead.high is not None
    assert loss.lead.high < 0


def test_thresholds_save_and_lose_little_on_networks_left_out(
    found: tuple[GrokClassifier, TrainingReport],
) -> None:
    _, report = found
    assert report.usual_reads == READS
    assert report.accounts[1].saved == 0.0  # patience has no validation loss to wait for
    _, larger = train(planted_sweep(300, seed=1, families=("a", "b")))
    mine, _ = larger.accounts
    assert not larger.kinds_left_out
    assert mine.lost <= 0.05 * mine.n_generalised
    assert mine.saved is not None
    assert mine.saved > 0.5


def test_what_a_sweep_lacks_has_no_threshold(
    found: tuple[GrokClassifier, TrainingReport],
) -> None:
    classifier, report = found
    logged = set(READS)
    assert set(classifier.calibrations) == {
        reads for reads in all_reads() if may_stop(reads) and set(reads) <= logged
    }
    assert classifier.reads(READABLE, 0.2) == READS
    assert set(report.calibration) == {" + ".join(own) for own in classifier.calibrations}


def test_the_same_data_and_seed_give_the_same_file(tmp_path: Path) -> None:
    for name in "ab":
        train(planted_sweep(60, seed=4))[0].save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_several_processes_give_the_same_figures() -> None:
    sweep = planted_sweep(60, seed=4)
    one, many = (train(sweep, jobs=jobs)[1] for jobs in (1, 2))
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
    for kept, held in network_splits(runs, seed % 1000):
        assert not np.any(kept & held)
        assert np.all(kept | held)
        assert not set(runs.configuration[kept]) & set(runs.configuration[held])
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
        return known_runs(Sweep(runs))[0]

    many, few = of_networks(40), of_networks(10)
    assert np.unique(many.network).size == 40
    for kept, held in network_splits(many, 0):
        assert not set(many.network[kept]) & set(many.network[held])
    # Of ten the next runs are likely to be of one of them.
    np.testing.assert_array_equal(few.network, few.configuration)


def test_runs_that_the_log_does_not_tell_apart_count_one_by_one() -> None:
    """A public sweep of 359 runs tells the same four settings of all."""
    runs = planted_sweep(12, seed=13).runs
    alike = [dataclasses.replace(run, hparams={"lr": 0.001}) for run in runs]
    assert np.unique(known_runs(Sweep(alike))[0].configuration).size == len(runs)
    two = [*alike[1:], dataclasses.replace(alike[0], hparams={"lr": 0.002})]
    assert np.unique(known_runs(Sweep(two))[0].configuration).size == 2
    one = known_runs(Sweep(two))[0].only(np.array([True] * 11 + [False]))
    assert network_splits(one, 0) == []


def test_the_threshold_rests_on_models_that_did_not_see_the_run() -> None:
    """The reference: fit to each fold's complement, and take the lowest look, one by one."""
    sweep = planted_sweep(90, repetitions=3, seed=6)
    classifier, _ = train(sweep)
    runs, table = table_of(sweep)
    lowest: dict[int, float] = {}
    counted = table.scored_by(READS)
    for kept, held in network_splits(runs.only(table.looked_at), 0):
        assert not set(runs.configuration[kept]) & set(runs.configuration[held])
        trees = fit(table.among(kept), seed=0)
        for row in np.flatnonzero(counted & held[table.run] & table.good[table.run]):
            # Only looks before the run generalised.
            assert table.step[row] < table.t4[table.run[row]]
            (score,) = trees.probability(table.at(np.array([row])).reading(READS))
            own = int(runs.configuration[table.run[row]])
            lowest[own] = min(float(score), lowest.get(own, np.inf))
    # Repetitions of one configuration count once, with the lowest score.
    assert 20 < len(lowest) < 90
    np.testing.assert_allclose(
        np.sort(list(lowest.values())),
        classifier.calibrations[READS].independent,
        rtol=0,
        atol=1e-12,
    )
    assert np.isnan(lowest_of(table, np.full(table.step.size, np.nan))).all()


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
            "train_loss": Curve(np.arange(5), np.ones(5)),
        },
    )
    steps = runs[short[2]].channels["val_acc"].steps
    runs[short[2]] = dataclasses.replace(
        runs[short[2]],
        channels={
            **runs[short[2]].channels,
            "val_acc": Curve(steps, np.where(steps >= 100, 0.99, 0.1)),
        },
    )
    _, report = train(Sweep(runs, [LeftOut("x.csv", "empty")]))
    counts = report.counts
    assert (counts.runs, counts.left_out, counts.no_metric) == (61, 1, 1)
    assert counts.too_few_samples + counts.early >= 2
    assert counts.early >= 1
    # Those that met the accuracy at the very end are not confirmed either.
    assert counts.censored >= 1
    total = dataclasses.asdict(counts)
    del total["runs"], total["configurations"], total["networks"], total["budgets"]
    assert sum(total.values()) == 61
    assert counts.configurations == counts.generalised + counts.not_generalised


def test_no_budget_is_asked_about_beyond_what_was_watched() -> None:
    _, table = table_of(planted_sweep(40, seed=9))
    x, y = rows_to_fit(table, np.random.default_rng(0))
    run = np.repeat(table.run, len(y) // table.run.size)
    step = np.repeat(table.step, len(y) // table.run.size)
    budget = step * 2 ** x[:, COLUMNS.index(BUDGET_COLUMN)]
    assert np.all(budget > step)
    assert np.all(budget <= table.budget[run] * (1 + 1e-9))
    np.testing.assert_array_equal(y, table.t4[run] <= budget * (1 + 1e-9))
    # Each look is asked about its run's own budget once.
    assert np.isclose(budget, table.budget[run]).sum() == table.step.size
    assert set(table.step) <= set(LOOKS)


def test_a_run_planned_for_less_than_the_budget_is_censored_even_if_it_generalised() -> None:
    sweep = planted_sweep(20, seed=10, planned=4000)
    runs, lost = known_runs(sweep, 8000)
    assert len(runs.runs) == 0
    assert lost["censored"] == 20
    runs, lost = known_runs(sweep, 2000)
    assert len(runs.runs) == 20
    assert set(runs.budget) == {2000.0}


def test_runs_without_a_plan_were_to_be_watched_as_long_as_the_longest() -> None:
    sweep = planted_sweep(20, seed=10)
    runs = [dataclasses.replace(run, max_steps=None) for run in sweep.runs]
    # A sweep that stops a run soon after it has generalised.
    t4 = [known_runs(Sweep([run]))[0].t4 for run in runs]
    stopped = [
        shortened(run, int(own[0]) + 150) if own.size and np.isfinite(own[0]) else run
        for run, own in zip(runs, t4, strict=True)
    ]
    known, _ = known_runs(Sweep(stopped))
    assert set(known.budget) == {4000.0}
    assert set(known.budget_source) == {"4000 steps, the longest run"}
    assert known.generalised.sum() == sum(own.size and np.isfinite(own[0]) for own in t4)


def test_a_sweep_of_coarse_logs_is_learnt() -> None:
    """The oscillation of 12 steps is folded into what every tenth step shows."""
    classifier, report = train(planted_sweep(60, seed=12, steps=1700, stride=10))
    assert report.counts.generalised + report.counts.not_generalised == 60
    assert classifier.n_calibration(READS[:2]) > 10


def test_configuration_columns_are_the_formulas() -> None:
    def row_of(*settings: object) -> dict[str, float]:
        configuration = Configuration(*settings)  # type: ignore[arg-type]  # settings of any kind
        row = configuration_columns([configuration], np.array([1e4]))[0]
        return dict(zip(CONFIGURATION_COLUMNS, row.tolist(), strict=True))

    row = row_of("adamw", 1e-3, 0.5, 0.9, 64, 640, 64_000)
    assert row["log10_learning_rate"] == pytest.approx(-3)
    assert row["log10_lr_wd_budget"] == pytest.approx(np.log10(1e-3 * 0.5 * 1e4))
    assert row["log10_lr_budget"] == pytest.approx(1)
    assert row["log10_budget"] == pytest.approx(4)
    assert row["log10_train_size"] == pytest.approx(np.log10(640))
    assert row["log10_batch_over_train_size"] == pytest.approx(-1)
    assert row["log10_parameters_over_train_size"] == pytest.approx(2)
    assert (row["optimizer_adamw"], row["optimizer_sgd"], row["no_weight_decay"]) == (1, 0, 0)
    row = row_of("lion", 1e-3, 0.0)
    assert row["no_weight_decay"] == 1
    assert np.isnan(row["log10_weight_decay"])
    assert row["optimizer_other"] == 1
    assert [name for name, value in row_of().items() if np.isfinite(value)] == ["log10_budget"]


# -- refusals --------------------------------------------------------------------------------


def test_too_few_runs() -> None:
    with pytest.raises(ValueError, match=r"needs 10 runs of each outcome, .* add runs"):
        train(planted_sweep(15, seed=12))


@pytest.mark.parametrize("t4", [2000, 10**9])
def test_one_outcome_only(t4: int) -> None:
    runs = []
    for run in planted_sweep(40, seed=12).runs:
        steps = run.channels["val_acc"].steps
        accuracy = Curve(steps, np.where(steps >= t4, 0.99, 0.1))
        runs.append(dataclasses.replace(run, channels={**run.channels, "val_acc": accuracy}))
    with pytest.raises(ValueError, match="runs of each outcome, 0 "):
        train(Sweep(runs))


def test_mostly_unusable() -> None:
    runs = [
        dataclasses.replace(run, channels={"train_loss": run.loss}) if i % 4 else run
        for i, run in enumerate(planted_sweep(120, seed=13).runs)
    ]
    with pytest.raises(ValueError, match=r"at least a third .* 90 have no validation metric"):
        train(Sweep(runs))
    with pytest.raises(ValueError, match="at least a third"):
        train(Sweep([]))


def test_logs_without_enough_losses() -> None:
    runs = [
        dataclasses.replace(run, channels={**run.channels, "train_loss": Curve([9, 99], [1, 1])})
        for run in planted_sweep(60, seed=14).runs
    ]
    with pytest.raises(ValueError, match=r"0 of 60 .* 59 have too few losses for a look"):
        train(Sweep(runs))


# -- the report ------------------------------------------------------------------------------


def test_report_is_json_and_in_the_card(found: tuple[GrokClassifier, TrainingReport]) -> None:
    classifier, report = found
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(classifier.card["report"]))
    assert len(classifier.card["data_sha256"]) == 64
    assert classifier.card["versions"]["scikit-learn"]


def test_progress_counts_every_fit() -> None:
    seen: list[tuple[int, int]] = []
    train(planted_sweep(60, seed=4), progress=lambda *own: seen.append(own))
    assert seen[-1][0] == seen[-1][1] == 11


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(
        st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=4, max_size=40
    )
)
def test_area_equals_scikit_learns(data: list[tuple[bool, int, int]]) -> None:
    good, score, weight = (np.array(column) for column in zip(*data, strict=True))
    score = score.astype(float)
    ours = float(aurocs(good, score, weight[None].astype(float))[0])
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
    monkeypatch.setattr(trainer, "MAX_RUNS", 60)
    sweep = planted_sweep(60, repetitions=2, seed=1)
    classifier, report = train(sweep)
    # All runs count; the fit, the figures and the threshold are of those drawn.
    used = report.counts.generalised + report.counts.not_generalised
    assert used > 100
    assert 40 < figures_of(report, "training loss", 200).n_runs <= 60
    assert 0 < classifier.n_calibration(READS) <= 30
