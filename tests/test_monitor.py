from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
import timeit
from pathlib import Path

import numpy as np
import pytest
from short_runs import BUDGET, LR, WEIGHT_DECAY, curve

from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.verdict import Verdict, judge
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import UnsuitableRunError

GOOD, DOOMED = curve(0.9, seed=1001), curve(0.03, seed=1002)
CONTEXT = Configuration(optimizer="adamw", learning_rate=LR, weight_decay=WEIGHT_DECAY)


def monitor(classifier: GrokClassifier, **options: object) -> GrokMonitor:
    return GrokMonitor(classifier, **{"budget": BUDGET, "configuration": CONTEXT, **options})  # type: ignore[arg-type]


def test_update_looks_at_each_horizon_with_the_losses_up_to_it(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    found = {step: own.update(loss) for step, loss in enumerate(GOOD, start=1)}
    looks = {step: verdict for step, verdict in found.items() if verdict is not None}
    assert looks == {
        horizon: judge(
            classifier, GOOD[:horizon], horizon=horizon, configuration=CONTEXT, budget=BUDGET
        )
        for horizon in (40, 80)
    }
    assert [verdict.action for verdict in own.verdicts] == ["continue", "continue"]
    assert own.n_seen == BUDGET


@pytest.mark.parametrize("chunk", [1, 7, 40, 400])
def test_extend_in_any_chunks_equals_update(classifier: GrokClassifier, chunk: int) -> None:
    by_update, by_extend = monitor(classifier), monitor(classifier)
    for loss in GOOD:
        by_update.update(loss)
    found = [
        verdict
        for start in range(0, len(GOOD), chunk)
        for verdict in by_extend.extend(GOOD[start : start + chunk])
    ]
    assert found == by_extend.verdicts == by_update.verdicts
    assert by_extend.n_seen == by_update.n_seen


def test_abort_is_the_last_look(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    assert [verdict.action for verdict in own.extend(DOOMED)] == ["abort"]
    assert own.next_horizon is None
    assert own.silence == "the last look was taken"


def test_losses_are_let_go_after_the_last_look(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    own.extend(GOOD[:79])
    assert len(own.state_dict()["losses"]) == 79
    own.extend(GOOD[79:])
    assert own.state_dict()["losses"] == []


def test_horizons_at_or_beyond_the_budget_are_not_looked_at(classifier: GrokClassifier) -> None:
    own = monitor(classifier, budget=80)
    assert [verdict.horizon for verdict in own.extend(GOOD)] == [40]
    short = monitor(classifier, budget=40)
    assert short.extend(DOOMED) == []
    assert short.silence is not None
    assert "The first look is after 40 steps" in short.silence


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_loss_abstains(classifier: GrokClassifier, bad: float) -> None:
    losses = DOOMED.copy()
    losses[20] = bad
    own = monitor(classifier)
    assert {verdict.action for verdict in own.extend(losses)} == {"abstain"}


@pytest.mark.parametrize(
    ("value", "action"), [(0.96, "continue"), (96.0, "continue"), (0.5, "abort"), (50.0, "abort")]
)
def test_a_run_that_has_generalised_is_left_alone(
    classifier: GrokClassifier, value: float, action: str
) -> None:
    own = monitor(classifier)
    own.saw_validation(value)
    first = own.extend(DOOMED)[0]
    assert first.action == action
    assert ("generalised already" in first.reason) == (action == "continue")


@pytest.mark.parametrize("resumed", [False, True])
def test_once_above_one_an_accuracy_is_a_percentage(
    classifier: GrokClassifier, resumed: bool
) -> None:
    """Guessing among 97 classes is right in 1 % of the cases, now 1.03 and now 0.97."""
    own = monitor(classifier)
    own.saw_validation(1.03)
    if resumed:
        state = json.loads(json.dumps(own.state_dict()))
        own = monitor(classifier)
        own.load_state_dict(state)
    own.saw_validation(0.97)
    assert own.extend(DOOMED)[0].action == "abort"
    own.saw_validation(97.0)
    assert own.generalised is not None


def test_a_training_accuracy_tells_that_it_is_percentages(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    own.saw_validation(0.97)
    own.saw_percentages()
    assert own.extend(DOOMED)[0].action == "abort"


def test_a_rounded_one_is_no_percentage(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    own.saw_validation(1.0000001)
    assert own.extend(DOOMED)[0].action == "continue"


def test_the_budget_of_the_first_look_survives(classifier: GrokClassifier) -> None:
    first, second, early = monitor(classifier), monitor(classifier, budget=300), monitor(classifier)
    first.extend(GOOD[:60])
    second.load_state_dict(first.state_dict())
    assert {verdict.budget for verdict in [*second.extend(GOOD[60:]), *second.verdicts]} == {BUDGET}
    early.extend(GOOD[:30])
    second = monitor(classifier, budget=300)
    second.load_state_dict(early.state_dict())
    assert second.extend(GOOD[30:])[0].budget == 300


def test_an_adopted_verdict_holds_whatever_the_monitor_thought(classifier: GrokClassifier) -> None:
    hopeful, gloomy = monitor(classifier), monitor(classifier)
    hopeful.extend(GOOD[:40])
    gloomy.extend(DOOMED[:40])
    going_on, aborted = hopeful.verdicts, gloomy.verdicts
    assert [own[0].action for own in (going_on, aborted)] == ["continue", "abort"]
    hopeful.adopt(aborted)
    gloomy.adopt(going_on)
    assert hopeful.next_horizon is None
    assert hopeful.extend(GOOD[40:]) == []
    assert gloomy.next_horizon == 80
    assert [verdict.horizon for verdict in gloomy.extend(DOOMED[40:])] == [80]


def test_a_monitor_that_missed_a_look_adopts_its_losses_too(classifier: GrokClassifier) -> None:
    whole, late = monitor(classifier), monitor(classifier)
    whole.extend(GOOD[:40])
    late.adopt(whole.verdicts, GOOD[:40])
    assert late.extend(GOOD[40:]) == whole.extend(GOOD[40:])
    assert late.verdicts == whole.verdicts


@pytest.mark.parametrize("step", [0, 1, 39, 40, 41, 79, 80, 200])
def test_resumed_monitor_decides_as_the_uninterrupted_one(
    classifier: GrokClassifier, step: int
) -> None:
    whole, first, second = (monitor(classifier) for _ in range(3))
    whole.extend(GOOD)
    first.extend(GOOD[:step])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.extend(GOOD[step:])
    assert second.verdicts == whole.verdicts
    assert second.n_seen == whole.n_seen


def test_resumed_after_an_abort_it_stays_done(classifier: GrokClassifier) -> None:
    first, second = monitor(classifier), monitor(classifier)
    first.extend(DOOMED[:40])
    second.load_state_dict(first.state_dict())
    assert second.extend(DOOMED[40:]) == []
    assert second.verdicts == first.verdicts


def test_losses_that_were_let_go_are_missed_not_invented(classifier: GrokClassifier) -> None:
    short, longer = monitor(classifier, budget=80), monitor(classifier)
    short.saw_validation(0.99)
    assert short.extend(GOOD[:60])[0].action == "continue"
    longer.load_state_dict(short.state_dict())
    assert longer.extend(GOOD[60:]) == []
    assert longer.silence == "the last look was taken"


def test_a_coarse_grid_is_looked_at_on_that_grid(classifier: GrokClassifier) -> None:
    own = monitor(classifier, stride=2)
    found = own.extend(GOOD[1::2])
    expected = judge(
        classifier, GOOD[1:80:2], horizon=80, stride=2, configuration=CONTEXT, budget=BUDGET
    )
    assert found == [expected]


def test_a_fine_grid_is_thinned_to_the_one_the_classifier_knows(classifier: GrokClassifier) -> None:
    familiar = classifier.familiar
    row = [classifier.grids.index((80, 2))]
    coarse = dataclasses.replace(
        classifier,
        grids=((80, 2),),
        familiar=dataclasses.replace(
            familiar,
            **{name: getattr(familiar, name)[row] for name in ("centre", "scale", "low", "high")},
        ),
    )
    assert monitor(coarse).extend(GOOD) == monitor(classifier, stride=2).extend(GOOD[1::2])


def test_a_grid_that_nothing_serves_is_refused(classifier: GrokClassifier) -> None:
    with pytest.raises(UnsuitableRunError, match="every 1, 2 steps, not every 3"):
        monitor(classifier, stride=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "the budget must be at least 1 step, got 0"),
        ({"stride": 0}, "the stride must be at least 1 step, got 0"),
        ({"max_false_abort": 1.5}, "max_false_abort must be a share between 0 and 1, got 1.5"),
    ],
)
def test_arguments_out_of_range(
    classifier: GrokClassifier, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        monitor(classifier, **options)


def test_the_budget_is_one_number_for_all_looks(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    own.set_budget(200)
    assert own.extend(GOOD[:40])[0].budget == 200
    with pytest.raises(ValueError, match="one number for all looks"):
        own.set_budget(300)


def test_prepared_it_loads_nothing_at_the_first_look(short_classifier_file: Path) -> None:
    """Importing MNE in the middle of a training run would make one step take a second."""
    program = (
        "import sys\nfrom grokpredict import GrokMonitor\n"
        f"monitor = GrokMonitor({str(short_classifier_file)!r}, budget=400)\n"
        "monitor.prepare()\nbefore = set(sys.modules)\n"
        "assert 'mne' in before\nassert monitor.verdicts == [] and monitor.n_seen == 0\n"
        "assert len(monitor.extend([1 / step for step in range(1, 41)])) == 1\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=400
    )
    assert done.stdout.strip() == "[]"


def test_losses_of_the_wrong_shape(classifier: GrokClassifier) -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        monitor(classifier).extend(np.zeros((2, 2)))


def test_update_costs_little_between_horizons(classifier: GrokClassifier) -> None:
    own = monitor(classifier)
    per_step = min(timeit.repeat(lambda: own.update(1.0), number=7, repeat=5)) / 7
    # A microsecond is the aim; a busy machine may take some.
    assert per_step < 20e-6
    assert all(isinstance(verdict, Verdict) for verdict in own.verdicts)
