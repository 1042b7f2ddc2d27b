"""The validation terms: closed forms, a slow second implementation, what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grokpredict.features.metrics import ACCURACY_FLOOR, METRIC_TERMS, Evaluations, metric_terms
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run


def evaluations(seed: int, every: int = 50, end: int = 1000) -> Evaluations:
    rng = np.random.default_rng(seed)
    steps = np.arange(0, end, every)
    return Evaluations(steps, 10 ** rng.uniform(-3, 2, steps.size), rng.uniform(0, 1, steps.size))


def terms(own: Evaluations, horizon: int, start: float = 0.0, end: float = 0.0) -> dict[str, float]:
    found = metric_terms([own], horizon, np.array([start]), np.array([end]))
    return dict(zip(METRIC_TERMS, found[0].tolist(), strict=True))


def test_closed_forms() -> None:
    steps = np.arange(0, 400, 50)
    # The loss falls to a tenth by step 99 + 1 and then rises tenfold every 100 steps; the accuracy
    # is 1/11 at first, 1/2 from step 199 on and 10/11 at the end: log-odds -1, 0 and 1.
    loss = 10.0 ** np.array([0, 0, -1, -0.5, 0, 0.5, 1, 1.5])
    accuracy = np.array([1 / 11] * 4 + [0.5] * 3 + [10 / 11])
    found = terms(Evaluations(steps, loss, accuracy), 400, start=0.25, end=-2.0)

    def odds(p: float) -> float:
        return math.log10((p + ACCURACY_FLOOR) / (1 - p + ACCURACY_FLOOR))

    expected = {
        "val_loss_level": 1.5 - 0.25,
        "val_loss_best": -1 - 0.25,
        "val_loss_rise": 2.5,
        "val_loss_change": 1.5,  # at half of the window, step 200, it was 10^0
        "val_loss_best_when": math.log10(101 / 400),
        "val_loss_gap": 3.5,
        "val_acc_log_odds": odds(10 / 11),
        "val_acc_best": odds(10 / 11),
        "val_acc_change": odds(10 / 11) - odds(0.5),
        "val_acc_gain": odds(10 / 11) - odds(1 / 11),
        "val_acc_half_when": math.log10(201 / 400),
    }
    assert found == pytest.approx(expected, abs=1e-12)
    assert odds(0.5) == 0
    assert odds(10 / 11) == pytest.approx(1, abs=0.006)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("horizon", [200, 730, 1000])
def test_a_slow_second_implementation_agrees(seed: int, horizon: int) -> None:
    own = evaluations(seed)
    seen = [
        (int(s), float(v), float(a))
        for s, v, a in zip(own.steps, own.loss, own.accuracy, strict=True)
        if s < horizon
    ]
    middle = max((row for row in seen if row[0] <= horizon / 2), key=lambda row: row[0])
    best = min(seen, key=lambda row: row[1])
    highest = max(row[2] for row in seen)
    risen = next(row for row in seen if row[2] >= highest / 2)

    def odds(p: float) -> float:
        return math.log10(p + ACCURACY_FLOOR) - math.log10(1 - p + ACCURACY_FLOOR)

    last = seen[-1]
    expected = [
        math.log10(last[1]) - 0.3,
        math.log10(best[1]) - 0.3,
        math.log10(last[1] / best[1]),
        math.log10(last[1] / middle[1]),
        math.log10((best[0] + 1) / horizon),
        math.log10(last[1]) + 1.7,
        odds(last[2]),
        odds(highest),
        odds(last[2]) - odds(middle[2]),
        odds(last[2]) - odds(seen[0][2]),
        math.log10((risen[0] + 1) / horizon),
    ]
    assert list(terms(own, horizon, 0.3, -1.7).values()) == pytest.approx(expected, abs=1e-12)


def test_a_constant_factor_of_both_losses_changes_nothing() -> None:
    own = evaluations(1)
    scaled = Evaluations(own.steps, 1000 * own.loss, own.accuracy)
    assert terms(scaled, 800, 3.0, 3.0) == pytest.approx(terms(own, 800), abs=1e-12)


def test_what_comes_after_the_window_is_not_seen() -> None:
    own = evaluations(2)
    cut = own.before(500)
    assert cut.steps.max() == 450
    assert terms(own, 500) == terms(cut, 500)


def test_extreme_values_have_finite_terms() -> None:
    steps = np.arange(0, 200, 50)
    for loss in (np.zeros(4), np.full(4, 1e300), np.array([1e-300, 1, 1e300, 0])):
        for accuracy in (np.zeros(4), np.ones(4), np.full(4, 1.0000001)):
            assert np.isfinite(list(terms(Evaluations(steps, loss, accuracy), 200).values())).all()


@pytest.mark.parametrize(
    ("steps", "serves"),
    [
        ([0, 50, 100, 150], True),
        ([50, 100, 150, 200], True),
        ([99, 150], True),
        ([100, 150], False),  # nothing in the first half
        ([0, 50, 100], False),  # nothing in the last quarter
        ([0, 200, 400], False),  # the window ends before step 200
        ([], False),
    ],
)
def test_which_evaluations_tell_enough(steps: list[int], serves: bool) -> None:
    own = Evaluations(np.array(steps, dtype=int), np.ones(len(steps)), np.ones(len(steps)))
    assert own.serve(200) is serves
    assert np.isfinite(list(terms(own, 200).values())).all() == serves


def test_those_of_a_run_are_the_steps_that_have_both_and_finite() -> None:
    run = Run(
        {
            "train_loss": Curve(np.arange(3), np.ones(3)),
            "val_loss": Curve(np.array([0, 10, 20, 40]), np.array([4.0, np.nan, 2.0, 1.0])),
            "val_acc": Curve(np.array([0, 10, 20, 30]), np.array([0.1, 0.2, 0.3, 0.4])),
        }
    )
    found = Evaluations.of(run)
    assert found.steps.tolist() == [0, 20]
    assert found.loss.tolist() == [4.0, 2.0]
    assert found.accuracy.tolist() == [0.1, 0.3]
    assert Evaluations.of(Run({"train_loss": run.loss})).steps.size == 0
