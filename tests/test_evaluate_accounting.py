"""What a rule would have lost and saved, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from grokpredict.evaluation.accounting import (
    NEVER,
    Finished,
    Rule,
    account_for,
    best,
    clopper_pearson,
    finished,
    lost_and_saved,
)
from grokpredict.evaluation.reliability import reliability
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.training.outcomes import Runs


def population(t4: list[float], budget: list[float], spent: list[float]) -> Finished:
    loss = Curve(np.arange(3), np.ones(3))
    return Finished(
        Runs(
            runs=tuple(Run({"train_loss": loss}, name=str(i)) for i in range(len(t4))),
            configurations=(Configuration(),) * len(t4),
            t4=np.array(t4, dtype=float),
            budget=np.array(budget, dtype=float),
            configuration=np.arange(len(t4)),
            network=np.arange(len(t4)),
            family=(None,) * len(t4),
        ),
        np.array(spent, dtype=float),
    )


#: Two that generalise, one of them beyond its budget (doomed), and two more doomed ones, of which
#: the last diverged after 300 of its 2 000 steps.
DONE = population(
    [500, 800, 1500, NEVER, NEVER],
    [1000, 1000, 1000, 2000, 2000],
    [600, 900, 1000, 2000, 300],
)


def test_lost_cut_and_saved_by_hand() -> None:
    # The first is lost, the second stopped after it generalised; 600 and 1 500 steps are saved.
    stops = np.array([400, 900, 400, 500, NEVER])
    found = account_for(DONE, "rule", "", stops)
    assert (found.n_lost, found.n_good, found.lost.value) == (1, 2, 0.5)
    assert found.cut == pytest.approx(2 / 3)
    assert found.saved_of_all == pytest.approx(2100 / 4800)
    assert found.saved.value == pytest.approx(2100 / 3300)
    assert found.saved.low <= found.saved.value <= found.saved.high


def test_a_stop_after_the_end_saves_nothing_and_cuts_nothing() -> None:
    found = account_for(DONE, "rule", "", np.array([NEVER, NEVER, 1000, 2000, 400]))
    assert (found.cut, found.saved.value, found.n_lost) == (0, 0, 0)


def test_an_oracle_saves_all_and_a_rule_that_stops_everybody_saves_no_more() -> None:
    oracle = np.where(DONE.good, NEVER, 0.0)
    assert account_for(DONE, "oracle", "", oracle).saved.value == 1
    everybody = account_for(DONE, "all", "", np.zeros(5))
    assert (everybody.saved.value, everybody.lost.value) == (1, 1)


@pytest.mark.parametrize(("hits", "n"), [(0, 59), (3, 160), (160, 160), (1, 1)])
def test_clopper_pearson_is_scipys_exact_interval(hits: int, n: int) -> None:
    exact = binomtest(hits, n).proportion_ci(method="exact")
    found = clopper_pearson(hits, n)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_without_a_trial_there_is_no_share() -> None:
    assert clopper_pearson(0, 0).value is None


def rule() -> Rule:
    stops = np.array(
        [
            [NEVER, NEVER, 900, 1900, NEVER],  # loses none, saves 200
            [NEVER, 700, 0, 0, 0],  # loses one of two, saves all
            [NEVER, NEVER, 500, 1000, NEVER],  # loses none, saves 1 500
        ]
    )
    return Rule("r", ("few", "all", "some"), stops)


def test_the_best_setting_saves_most_among_those_that_lose_few() -> None:
    assert best(DONE, rule(), 0.0).setting == "some"
    assert best(DONE, rule(), 0.5).setting == "all"
    np.testing.assert_allclose(lost_and_saved(DONE, rule().stops)[0], [0, 0.5, 0])


def test_a_rule_that_always_loses_more_says_so_and_shows_the_least() -> None:
    everywhere = Rule("r", ("a", "b"), np.array([[0.0] * 5, [NEVER, 0, 0, 0, 0]]))
    found = best(DONE, everywhere, 0.1)
    assert (found.setting, found.matched, found.lost.value) == ("b", False, 0.5)


def run(steps: int, *, t4: int | None = None, max_steps: int = 1000, diverged: bool = False) -> Run:
    loss = np.full(steps, 0.5)
    loss[-1] = np.nan if diverged else 0.5
    evaluated = np.arange(0, steps, 50)
    accuracy = np.where(evaluated >= (NEVER if t4 is None else t4), 0.99, 0.1)
    channels = {"train_loss": Curve(np.arange(steps), loss), "val_acc": Curve(evaluated, accuracy)}
    return Run(channels, max_steps=max_steps, name=f"{steps} {t4}")


def test_steps_of_a_run_end_with_its_log_only_where_it_generalised_or_diverged() -> None:
    from grokpredict.runs.sweep import Sweep
    from grokpredict.training.outcomes import known_runs

    runs, _ = known_runs(
        Sweep(
            [
                run(600, t4=400),
                run(1000),
                run(980),  # the last evaluation, at 950, speaks for the rest
                run(300, diverged=True),
                run(1000, t4=100),  # over before the first look
            ]
        ),
        None,
        None,
    )
    done = finished(runs, 200)
    np.testing.assert_array_equal(done.spent, [600, 1000, 1000, 300])


def test_reliability_counts_every_look_once() -> None:
    table = reliability(np.array([0.0, 0.05, 0.1, 0.95, 1.0]), np.array([0, 0, 1, 1, 1], bool))
    assert [(each.low, each.n) for each in table.bins] == [(0.0, 2), (0.1, 1), (0.9, 2)]
    assert table.calibration_error == pytest.approx((2 * 0.025 + 0.9 + 2 * 0.025) / 5)
    assert reliability(np.empty(0), np.empty(0, bool)).calibration_error is None
