"""When a run generalised: on curves made by hand, with the answer known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokpredict.runs.curve import Curve
from grokpredict.runs.labels import (
    GeneralisationLaw,
    LabelRule,
    Phase,
    PhaseTimes,
    curve_spacing,
    fit_generalisation_law,
    generalisation_step,
    outcome,
    phase,
    phase_times,
)
from grokpredict.runs.run import Run

TENS = np.arange(0, 100, 10)


def made(val_acc=None, train_acc=None, val_loss=None, loss_ends_in=0.1, steps=None):
    """Return a run that was evaluated every ten steps."""
    channels = {"train_loss": Curve(np.arange(3), np.array([1.0, 0.5, loss_ends_in]))}
    for name, values in (("val_acc", val_acc), ("train_acc", train_acc), ("val_loss", val_loss)):
        if values is not None:
            at = 10 * np.arange(len(values)) if steps is None else np.asarray(steps)
            channels[name] = Curve(at, np.array(values, dtype=float))
    return Run(channels)


# The step


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.1, 0.2, 0.96, 0.97, 0.98, 0.5], 20),
        ([0.95, 0.95, 0.95], 0),
        ([0.1, 0.96, 0.97, 0.5, 0.96, 0.96, 0.96], 40),
        ([0.1, 0.96, 0.97, 0.94, 0.96, 0.94], None),
        # To the end of the log two are enough: its author stopped it since it had generalised.
        ([0.1, 0.96, 0.97, 0.94, 0.96, 0.96], 40),
        ([0.1, 0.2, 0.96, 0.99], 20),
        ([0.96, 0.96], 0),
        ([0.96, np.nan, 0.96, 0.96], 20),
        ([0.1, 0.2, 0.2, 0.99], None),
        ([0.96], None),
        ([0.1, 0.1, 0.1, 0.1], None),
    ],
)
def test_accuracy_must_hold_for_two_further_evaluations(values, step):
    curve = Curve(10 * np.arange(len(values)), np.array(values))
    assert generalisation_step(curve, LabelRule()) == step


@pytest.mark.parametrize(("hold", "step"), [(0, 10), (1, 30), (2, 30), (3, 30)])
def test_how_long_it_must_hold_can_be_told(hold, step):
    curve = Curve(10 * np.arange(6), np.array([0.1, 0.96, 0.5, 0.96, 0.97, 0.99]))
    assert generalisation_step(curve, LabelRule(hold=hold)) == step


def test_how_long_it_must_hold_where_the_log_goes_on():
    values = np.array([0.1, 0.96, 0.97, 0.98, 0.2, 0.1])
    curve = Curve(10 * np.arange(6), values)
    steps = [generalisation_step(curve, LabelRule(hold=hold)) for hold in range(4)]
    assert steps == [10, 10, 10, None]


def test_a_regression_generalises_when_the_validation_loss_falls_to_the_threshold():
    run = made(val_loss=[1.0, 0.02, 0.5, 0.02, 0.01, 0.019, np.nan])
    rule = LabelRule("val_loss", threshold=0.02)
    assert outcome(run, rule).t4 == 30
    assert outcome(run, LabelRule("val_loss", threshold=0.001)).t4 is None
    assert outcome(run) is None  # it has no accuracy


@pytest.mark.parametrize("change", [{"metric": "accuracy"}, {"hold": -1}])
def test_a_rule_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValueError, match="must"):
        LabelRule(**change)


# Generalised, not, or unknown


def test_generalised_by_a_budget_at_its_step_and_not_before():
    result = outcome(made([0.1, 0.1, 0.99, 0.99, 0.99]))
    assert (result.by(19), result.by(20), result.by(10_000)) == (False, True, True)


def test_a_run_that_ended_early_is_unknown_and_not_negative():
    # Evaluated at 0, 10, ... 90: the next evaluation was due at 100.
    result = outcome(made([0.1] * 10))
    assert result.t4 is None
    assert result.by(50) is False
    assert result.by(100) is False
    assert result.by(101) is None


def test_a_run_watched_to_its_last_step_is_negative_for_that_budget():
    result = outcome(made([0.1] * 100, steps=np.arange(99, 10_000, 100)))
    assert result.by(10_000) is False
    assert result.by(20_000) is None


@pytest.mark.parametrize("end", [np.nan, np.inf])
def test_a_diverged_run_is_negative_for_every_budget(end):
    assert outcome(made([0.1] * 3, loss_ends_in=end)).by(10**9) is False
    # Unless it had generalised before.
    assert outcome(made([0.99] * 3, loss_ends_in=end)).by(10**9) is True


def test_a_reach_that_could_not_be_confirmed_leaves_the_end_unknown():
    result = outcome(made([0.1] * 9 + [0.99]))
    assert result.t4 is None
    assert result.by(89) is False
    assert result.by(90) is None


def test_a_reach_that_was_lost_again_leaves_nothing_unknown():
    assert outcome(made([0.1] * 7 + [0.99, 0.99, 0.1])).by(100) is False


def test_without_evaluations_nothing_is_known():
    assert outcome(made()) is None
    assert outcome(made([])) is None


@given(
    st.lists(st.sampled_from([0.0, 0.94, 0.95, 1.0, float("nan")]), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_more_budget_never_makes_a_positive_negative(values, hold):
    result = outcome(made(values), LabelRule(hold=hold))
    answers = [result.by(budget) for budget in range(0, 200, 5)]
    order = {False: 0, None: 1, True: 2}
    ranks = [order[a] for a in answers]
    assert ranks == sorted(ranks)
    least = min(hold + 1, 2)
    slow = next(
        (
            10 * i
            for i in range(len(values))
            if all(v >= 0.95 for v in values[i : i + hold + 1])
            and len(values[i : i + hold + 1]) >= (hold + 1 if i + hold < len(values) else least)
        ),
        None,
    )
    assert result.t4 == slow


def test_the_spacing_is_the_median_and_one_for_a_single_evaluation():
    assert curve_spacing(Curve(np.array([0, 10, 20, 95]), np.zeros(4))) == 10
    assert curve_spacing(Curve(np.array([7]), np.zeros(1))) == 1


# Phases


def test_phase_times():
    run = made(
        val_acc=[0, 0, 0, 0.01, 0.5, 0.96, 0.97, 0.98, 1, 1],
        train_acc=[0, 0.1, 0.994, 0.996, 1, 1, 1, 1, 1, 1],
    )
    assert phase_times(run) == PhaseTimes(t1=10, t2=30, t3=30, t4=50)
    assert phase_times(made(val_acc=[0.0] * 4)) == PhaseTimes(None, None, None, None)


@pytest.mark.parametrize(
    ("val_acc", "train_acc", "expected"),
    [
        ([0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], Phase.GROKKING),  # t4 = 2 t2
        ([0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], Phase.COMPREHENSION),
        ([0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0], Phase.COMPREHENSION),
        ([0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1], Phase.MEMORISATION),
        ([0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0], Phase.CONFUSION),
        ([0, 0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 1, 1, 1], None),  # unconfirmed
    ],
)
def test_phase(val_acc, train_acc, expected):
    assert phase(made(val_acc, train_acc), 60) is expected


def test_a_phase_is_that_of_its_budget():
    run = made([0, 0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1, 1, 1])
    assert phase(run, 10) is Phase.CONFUSION
    assert phase(run, 50) is Phase.MEMORISATION
    assert phase(run, 60) is Phase.GROKKING


def test_a_phase_needs_both_accuracies():
    assert phase(made(val_acc=[0.1] * 9), 50) is None
    assert phase(made(train_acc=[0.1] * 9), 50) is None


# t4(r) = a r^-gamma + b


@pytest.mark.parametrize(
    ("a", "gamma", "b"),
    [(30.0, 4.0, 500.0), (1000.0, 1.0, 50.0), (2.0, 6.5, 900.0), (0.5, 12.0, 300.0)],
)
def test_the_law_is_recovered_from_its_own_points(a, gamma, b):
    fractions = np.linspace(0.25, 0.9, 12)
    law = fit_generalisation_law(fractions, a * fractions**-gamma + b)
    assert (law.a, law.gamma, law.b) == pytest.approx((a, gamma, b), rel=0.02)


def test_a_law_as_steep_as_a_step_is_fitted():
    fractions = np.linspace(0.1, 0.9, 9)
    law = fit_generalisation_law(fractions, [5e6, *[500.0] * 8])
    assert [law(r) for r in fractions] == pytest.approx([5e6, *[500.0] * 8], rel=0.01)


def test_the_law_is_found_under_noise():
    rng = np.random.default_rng(0)
    true = GeneralisationLaw(50.0, 3.5, 400.0)
    fractions = np.repeat(np.linspace(0.2, 0.9, 15), 4)
    t4 = np.array([true(r) for r in fractions]) * np.exp(0.1 * rng.standard_normal(60))
    law = fit_generalisation_law(fractions, t4)
    for r in (0.25, 0.5, 0.8):
        assert law(r) == pytest.approx(true(r), rel=0.1)


@pytest.mark.parametrize(
    ("fractions", "t4", "message"),
    [
        ([0.2, 0.3, 0.3, 0.4], [4, 3, 3, 2], "four different training fractions, got 3"),
        ([0.2, 0.3, 0.4, 1.5], [4, 3, 2, 1], r"in \(0, 1\]"),
        ([0.0, 0.3, 0.4, 0.5], [4, 3, 2, 1], r"in \(0, 1\]"),
        ([0.2, 0.3, 0.4, 0.5], [4, 3, 2, 0], "t4 above 0"),
        ([0.2, 0.3, 0.4, 0.5], [4, 3, 2], "equally many"),
    ],
)
def test_a_law_that_cannot_be_fitted_is_refused(fractions, t4, message):
    with pytest.raises(ValueError, match=message):
        fit_generalisation_law(fractions, t4)
