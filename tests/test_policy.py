"""The policy: when a run is looked at, what its looks read, what a verdict leads to."""

from __future__ import annotations

import numpy as np
import pytest
from planted import hand_made

from grokpredict.features.metrics import Evaluations
from grokpredict.live.monitor import GrokMonitor
from grokpredict.live.policy import LookPolicy, WindowPolicy, ended, left_alone
from grokpredict.model.verdict import Verdict
from grokpredict.runs.curve import UnsuitableRunError
from grokpredict.runs.labels import LabelRule

GRIDS = ((200, 1), (400, 1), (400, 10), (800, 10))
EVERY_STRIDE = {(told, stride): np.full(59, 0.5) for told in (False, True) for stride in (1, 10)}


def policy(stride: int = 1, **options: object) -> WindowPolicy:
    return WindowPolicy.on(hand_made(grids=GRIDS, **options), stride)


@pytest.mark.parametrize(("stride", "grid"), [(1, 1), (2, 10), (5, 10), (10, 10)])
def test_losses_are_read_on_the_finest_grid_that_serves(stride: int, grid: int) -> None:
    assert policy(stride).grid == grid


def test_a_grid_that_no_model_knows_is_refused() -> None:
    with pytest.raises(UnsuitableRunError, match="every 1, 10 steps, not every 3"):
        policy(3)


def test_the_next_look_is_after_the_steps_so_far_and_before_the_budget() -> None:
    looks = [policy().next_look(step, 400) for step in (0, 199, 200, 399)]
    assert looks == [200, 200, None, None]
    assert [policy(10).next_look(step, 801) for step in (0, 400, 800)] == [400, 800, None]


def evaluated(*steps: int) -> Evaluations:
    return Evaluations(np.array(steps, dtype=np.int64), np.ones(len(steps)), np.zeros(len(steps)))


def test_an_evaluation_before_the_first_look_decides_that_metrics_are_read() -> None:
    reads = policy(validated_scores=EVERY_STRIDE)
    assert [reads.reads_metrics(evaluated(*s)) for s in ((), (199,), (200,))] == [
        False,
        True,
        False,
    ]
    # Without a model for them they are never read.
    assert not policy().reads_metrics(evaluated(0, 100))


def test_a_look_that_lacks_its_evaluations_is_skipped_and_says_so() -> None:
    assert policy().skipped(evaluated(0, 160), 200) is None
    assert "No suitable evaluation in the first 400 steps" in str(
        policy().skipped(evaluated(0, 160), 400)
    )


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


def test_looks_settle_on_the_first_that_reads_loss_and_validation() -> None:
    settles = LookPolicy(900).settles
    assert settles(("train_loss", "val_acc"))
    assert settles(("train_loss", "val_loss", "weight_norm"))
    assert not settles(("train_loss", "train_acc"))
    assert not settles(("val_loss",))


def test_a_monitor_alone_changes_its_state() -> None:
    monitor = GrokMonitor(hand_made(), budget=900)
    monitor.extend(np.exp(-np.arange(200) / 100))
    verdicts = monitor.verdicts
    verdicts.clear()
    assert len(monitor.verdicts) == 1
    for name in ("verdicts", "n_seen", "configuration", "budget"):
        with pytest.raises(AttributeError):
            setattr(monitor, name, None)
    assert monitor.explain("the disk is full").reason == monitor.verdicts[0].reason
    monitor.trained_on(since=200, step=300)
    assert monitor.n_seen == 300
