"""The policy: when a run is looked at, what its looks read, what a verdict leads to."""

from __future__ import annotations

import numpy as np
import pytest

from grokpredict.live.policy import LookPolicy, ended, left_alone, settles
from grokpredict.model.verdict import Verdict
from grokpredict.runs.labels import LabelRule


@pytest.mark.parametrize(
    ("rule", "value", "alone"),
    [
        (LabelRule(), 0.95, True),
        (LabelRule(), 0.9499, False),
        (LabelRule("val_loss", 0.1), 0.1, True),
        (LabelRule("val_loss", 0.1), 0.11, False),
        (LabelRule(), np.nan, False),
        (LabelRule(), None, False),
    ],
)
def test_one_evaluation_that_meets_the_rule_leaves_a_run_alone(
    rule: LabelRule, value: float | None, alone: bool
) -> None:
    assert (left_alone(rule, value) is not None) == alone


def test_an_abort_is_the_last_look() -> None:
    going_on, abort = (Verdict(action, "", 200, 900) for action in ("continue", "abort"))
    assert [ended(looks) for looks in ((), (going_on,), (abort,))] == [False, False, True]
    looks = LookPolicy(900)
    assert [looks.next_look(n) for n in ((), (going_on,), (abort,))] == [200, 282, None]
    assert looks.next_look((going_on,) * 5) is None  # 200, 282, 400, 565 and 800
    warns = LookPolicy(900, only_warns=True)
    assert warns.next_look((abort,)) == 282
    assert warns.next_look((abort,) * 5) is None


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("stops", [False, True])
def test_looks_settle_on_the_first_that_reads_loss_and_validation(
    awaits: bool, stops: bool
) -> None:
    """On the loss without validation only where it may stop a run and none is awaited."""
    options = {"awaits": awaits, "stops": stops}
    assert settles(("train_loss", "val_acc"), **options)
    assert settles(("train_loss", "val_loss", "weight_norm"), **options)
    assert settles(("train_loss", "train_acc"), **options) == (stops and not awaits)
    assert not settles(("val_loss",), **options)
