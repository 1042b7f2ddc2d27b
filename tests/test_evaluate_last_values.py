"""Rules on the last value, against SureStop itself; settings that other runs choose."""

from __future__ import annotations

import numpy as np
import pytest
import surestop
from test_evaluate_rivals import gathered, logged

from grokpredict.evaluation.accounting import NEVER, Rule, RuleUnavailableError
from grokpredict.evaluation.elsewhere import set_elsewhere
from grokpredict.evaluation.last_values import fixed_epoch, sure_stop
from grokpredict.runs.run import Run


def halves(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The even runs set what stops the odd ones, and the other way round."""
    even = np.arange(n) % 2 == 0
    return [(even, ~even), (~even, even)]


def rising(n: int, seed: int) -> tuple[list[Run], list[float]]:
    """Accuracies that wander below 0.5; every third run then has 1.0 at its last evaluation."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 0.5, (n, 10)) + np.arange(n)[:, None] / (2.5 * n)
    values[::3, -1] = 1.0
    t4 = np.where(np.arange(n) % 3 == 0, 1000.0, NEVER)
    return [logged(row.tolist()) for row in values], t4.tolist()


@pytest.mark.parametrize("bound", [0.05, 0.1, 0.3])
def test_the_last_value_is_stopped_where_surestop_stops_it(bound: float) -> None:
    runs, t4 = rising(80, 0)
    done = gathered(runs, t4)
    rule = sure_stop(done, halves(80), bound)
    # Its grid of evaluations from the first look, at step 200, on.
    curves = np.stack([run.channels["val_acc"].values[1:] for run in runs])
    stopped = 0
    for fit, held in halves(80):
        theirs = surestop.KillRule(alpha=bound, good_threshold=0.95, maximize=True)
        theirs.fit(curves[fit])
        for i in np.flatnonzero(held):
            at = theirs.kill_step(curves[i])
            # It judges good runs by a gap to 0.95, whose rounding decides a tie with the limit.
            assert rule.as_is[i] == (NEVER if at is None else 100 * (at + 2)), i
            stopped += at is not None
    assert 0 < stopped < 80


def test_the_last_value_in_hindsight_and_without_a_metric() -> None:
    runs = [logged([0.3, 0.2, 0.4, 1.0]), logged([0.3, 0.1, 0.3, 0.3]), logged([0.9, 0.1, 0.1])]
    done = gathered(runs, [400.0, NEVER, NEVER])
    rule = sure_stop(done, [], 0.05)
    assert (rule.settings, rule.stops.tolist()) == (("below 0.2",), [[NEVER, 200.0, 200.0]])
    assert rule.as_is is None
    with pytest.raises(RuleUnavailableError, match="validation metric of good runs"):
        sure_stop(gathered(runs, [NEVER] * 3), [], 0.05)


def test_only_the_best_of_a_family_go_on_after_a_fixed_step() -> None:
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    runs = [logged([v] * 4) for v in (*values, *[5.0] * 8)]
    done = gathered(runs, [NEVER] * 16, ["a"] * 8 + ["b"] * 8)
    rule = fixed_epoch(done)
    stops = rule.stops[rule.settings.index("200, best 50 %")]
    assert np.flatnonzero(stops == 200).tolist() == [0, 1, 2]
    assert np.isinf(stops[8:]).all()  # all tie
    losses = gathered([logged([-v] * 4, "val_loss") for v in values], [NEVER] * 8)
    np.testing.assert_array_equal(fixed_epoch(losses).stops[0], rule.stops[0, :8])
    with pytest.raises(RuleUnavailableError, match="i-Epoch needs"):
        fixed_epoch(gathered([logged([0.5], "train_acc")], [NEVER]))


def test_other_runs_choose_a_setting_within_the_bound() -> None:
    runs = [logged([0.5] * 10) for _ in range(40)]
    t4 = np.where(np.arange(40) % 4 < 2, 900.0, NEVER)
    done = gathered(runs, t4.tolist())
    # The first setting would lose every good even run, and the second one odd run of ten.
    first = np.where((np.arange(40) % 2 == 0) | np.isinf(t4), 200.0, NEVER)
    second = np.where(np.isinf(t4) | (np.arange(40) == 1), 500.0, NEVER)
    rule = Rule("some", ("first", "second", "never"), np.array([first, second, np.full(40, NEVER)]))
    found = set_elsewhere(done, rule, halves(40), 0.05).as_is
    even = np.arange(40) % 2 == 0
    # Odd runs lose none by the first setting's choice of theirs; it is what even runs then get.
    np.testing.assert_array_equal(found[even], first[even])
    np.testing.assert_array_equal(found[~even], second[~even])
    generous = set_elsewhere(done, rule, halves(40), 1.0).as_is
    np.testing.assert_array_equal(generous, first)
    assert set_elsewhere(done, rule, [], 0.05).as_is is None
