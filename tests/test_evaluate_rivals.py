"""Rules without a classifier, against the libraries that they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import EarlyStopping

from grokpredict.evaluation import pruners
from grokpredict.evaluation.accounting import (
    NEVER,
    Finished,
    RuleUnavailableError,
    best,
    lost_and_saved,
)
from grokpredict.evaluation.rivals import (
    activity,
    activity_rule,
    early_stopping,
    fixed_budget,
    stops_of_patience,
)
from grokpredict.features.conditioning import condition
from grokpredict.features.signal import hjorth
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.training.outcomes import Runs


def gathered(
    runs: list[Run], t4: list[float], families: list[str | None] | None = None
) -> Finished:
    budget = np.array([run.max_steps for run in runs], dtype=float)
    return Finished(
        Runs(
            runs=tuple(runs),
            configurations=(Configuration(),) * len(runs),
            t4=np.array(t4, dtype=float),
            budget=budget,
            configuration=np.arange(len(runs)),
            network=np.arange(len(runs)),
            family=tuple(families or [None] * len(runs)),
        ),
        budget,
    )


def logged(values: list[float], metric: str = "val_acc", **hparams: object) -> Run:
    """A run with an evaluation every 100 steps."""
    steps = 100 * np.arange(1, len(values) + 1)
    loss = Curve(np.arange(5), np.ones(5))
    channels = {"train_loss": loss, metric: Curve(steps, np.array(values))}
    return Run(channels, hparams=hparams, max_steps=int(steps[-1]))


def lightnings_stop(values: list[float], patience: int, mode: str) -> float:
    """The evaluation at which Lightning's own class stops, infinite if none."""
    callback = EarlyStopping("m", patience=patience, mode=mode)
    for i, value in enumerate(values):
        stop, _ = callback._evaluate_stopping_criteria(torch.tensor(value, dtype=torch.float64))
        if stop:
            return 100 * (i + 1)
    return NEVER


@given(
    values=st.lists(
        st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, float("nan"), float("inf")]), max_size=25
    ),
    maximise=st.booleans(),
)
@settings(deadline=None, max_examples=200)
def test_patience_is_lightnings(values: list[float], maximise: bool) -> None:
    patiences = np.array([1, 2, 3, 5, 9])
    curve = Curve(100 * np.arange(1, len(values) + 1), np.array(values))
    found = stops_of_patience(curve, patiences, maximise=maximise)
    mode = "max" if maximise else "min"
    assert found.tolist() == [lightnings_stop(values, int(p), mode) for p in patiences]


def test_early_stopping_leaves_a_run_without_the_metric_alone() -> None:
    done = gathered([logged([0.5] * 9), logged([0.5] * 9, metric="val_loss")], [NEVER, NEVER])
    stops = early_stopping(done, "val_loss").stops
    assert np.isinf(stops[:, 0]).all()
    assert stops[0, 1] == 200


def medians_stop(values: list[list[float]]) -> list[float]:
    """The median rule in plain words: worse at its best than the median of those that finished."""
    finished: list[list[float]] = []
    stops = []
    for own in values:
        stop = NEVER
        for i in range(len(own)):
            there = [other[i] for other in finished]
            if len(finished) >= 5 and max(own[: i + 1]) < np.median(there):
                stop = 100 * (i + 1)
                break
        if np.isinf(stop):
            finished.append(own)
        stops.append(stop)
    return stops


def test_the_median_pruner_sees_the_runs_of_a_task_in_a_seeded_order_and_no_other_task() -> None:
    rng = np.random.default_rng(3)
    values = [rng.uniform(0, 1, 6).tolist() for _ in range(24)]
    families = ["a", "b"] * 12
    # On the other task everything is better, which must not matter.
    values = [[v + 5 * (f == "b") for v in own] for own, f in zip(values, families, strict=True)]
    done = gathered([logged(own) for own in values], [NEVER] * 24, families)
    rules = pruners.pruner_rules(done, seed=7)
    (median,) = [rule for rule in rules if rule.name == "MedianPruner"]
    found = median.stops[median.settings.index("warm-up 0 %")]
    order = np.random.default_rng(7).permutation(24)
    for family in "ab":
        own = [i for i in order if families[i] == family]
        assert found[own].tolist() == medians_stop([values[i] for i in own])
    assert np.isfinite(found).any()
    names = {rule.name for rule in rules}
    assert names == {
        "MedianPruner",
        "SuccessiveHalvingPruner",
        "HyperbandPruner",
        "PatientPruner",
        "WilcoxonPruner",
    }


def test_successive_halving_keeps_the_best_of_the_rung() -> None:
    # Rising over the trials, each is the best so far and promoted; falling, none but the first.
    rising = gathered([logged([0.1 * i] * 8) for i in range(8)], [NEVER] * 8)
    order = np.random.default_rng(0).permutation(8)
    for sign, expected in ((1, 0), (-1, 7)):
        values = np.empty(8)
        values[order] = sign * np.arange(8)
        done = gathered([logged([v] * 8) for v in values], [NEVER] * 8)
        rules = pruners.pruner_rules(done)
        (halving,) = [rule for rule in rules if rule.name == "SuccessiveHalvingPruner"]
        stops = halving.stops[halving.settings.index("from 200, by 4")]
        assert np.isfinite(stops).sum() == expected
        assert set(stops[np.isfinite(stops)]) <= {200.0}
    assert len(rising) == 8


def test_a_loss_is_minimised() -> None:
    losses = [0.1] * 6 + [9.0]
    order = np.random.default_rng(0).permutation(7)
    runs: list[Run] = [None] * 7  # type: ignore[list-item]
    for place, value in zip(order, losses, strict=True):
        runs[place] = logged([value] * 6, metric="val_loss")
    rules = pruners.pruner_rules(gathered(runs, [NEVER] * 7))
    stops = next(rule for rule in rules if rule.name == "MedianPruner").stops[0]
    assert np.flatnonzero(np.isfinite(stops)).tolist() == [order[-1]]


def test_many_evaluations_are_thinned_alike() -> None:
    curves = {0: Curve(np.arange(1, 251), np.ones(250)), 1: Curve(np.arange(1, 100), np.ones(99))}
    thinned = pruners._thinned(curves)
    assert thinned[0].steps.tolist() == list(range(3, 251, 3))
    assert thinned[1].steps.tolist() == list(range(3, 100, 3))


def test_without_optuna_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruners, "find_spec", lambda name: None)
    with pytest.raises(RuleUnavailableError, match="pip install"):
        pruners.pruner_rules(gathered([logged([0.5])], [NEVER]))


def test_the_fixed_budget_is_the_law_of_the_task_and_a_thousand() -> None:
    fractions = np.array([0.3, 0.4, 0.5, 0.6, 0.8])
    families = ["a"] * 5 + ["b"] * 5 + ["a"]
    t4 = [*(200 * fractions**-3 + 500), *(50 * fractions**-2 + 2000), NEVER]
    runs = [logged([0.5] * 200, train_fraction=float(r)) for r in [*fractions, *fractions, 0.5]]
    rule = fixed_budget(gathered(runs, t4, families))
    np.testing.assert_allclose(rule.as_is[:10], np.array(t4[:10]) + 1000, rtol=1e-3)
    # The doomed run of task a is given what a good one with its fraction takes.
    assert rule.as_is[10] == pytest.approx(200 * 0.5**-3 + 1500, rel=1e-3)


def test_without_training_fractions_there_is_no_law() -> None:
    with pytest.raises(RuleUnavailableError, match="train_fraction"):
        fixed_budget(gathered([logged([0.5])], [100.0]))


def wave(size: float, stride: int, seed: int) -> Run:
    rng = np.random.default_rng(seed)
    t = np.arange(0, 600, stride)
    loss = np.exp(-t / 200) + size * np.sin(0.5 * t / stride) + 0.001 * rng.standard_normal(t.size)
    channels = {"train_loss": Curve(t, loss), "val_acc": Curve(t, np.zeros(t.size))}
    return Run(channels, max_steps=2000)


def test_activity_is_that_of_the_conditioned_window_on_the_runs_own_grid() -> None:
    runs = [wave(0.1, 1, 0), wave(0.1, 2, 1), wave(0.1, 100, 2), wave(0.1, 1, 3)]
    found = activity(gathered(runs, [NEVER, NEVER, NEVER, 400]), 400)
    for run, value, samples in zip(runs[:2], found, (400, 200), strict=False):
        signal = condition(run.loss.values[None, :samples])
        assert value == pytest.approx(hjorth(signal).activity[0])
    # Too few samples; and generalised by then, so that there is nothing to decide.
    assert np.isnan(found[2:]).all()


def test_the_threshold_on_activity_is_tried_from_both_sides() -> None:
    sizes = [0.01, 0.02, 0.1, 0.2]
    for good in (sizes[2:], sizes[:2]):
        t4 = [1000 if size in good else NEVER for size in sizes]
        done = gathered([wave(size, 1, i) for i, size in enumerate(sizes)], t4)
        rule = activity_rule(done, 400)
        found = best(done, rule, 0.0)
        assert (found.cut, found.lost.value) == (1, 0)
        assert lost_and_saved(done, rule.stops)[0].max() == 1
