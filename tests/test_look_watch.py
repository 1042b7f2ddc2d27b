"""The watch: when it looks, what it reads for good, and that live and log agree."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from test_looks import BUDGET, STEPS, model, planted, runs, table

from grokpredict.features.profile import PROFILED, looks_before
from grokpredict.live.looks import LookWatch, looks_at
from grokpredict.model.looks import LookModel
from grokpredict.runs.curve import Curve
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run

__all__ = ["model", "runs", "table"]

RULE = LabelRule()


def channels_of(run: Run, **others: Curve) -> Run:
    return Run({**run.channels, **others}, max_steps=run.max_steps)


def test_it_looks_at_every_factor_of_root_2_to_the_budget(
    model: LookModel, runs: list[Run]
) -> None:
    verdicts = looks_at(runs[0], model, LabelRule("val_acc", 2.0), budget=BUDGET)
    looks = [verdict.horizon for verdict in verdicts]
    assert looks == looks_before(BUDGET).tolist()[: len(looks)]
    assert verdicts[-1].action == "abort" or looks[-1] == 4525


def test_most_of_the_doomed_and_hardly_a_good_run_is_stopped(model: LookModel) -> None:
    rng = np.random.default_rng(99)
    fresh = [planted(rng, good=i % 2 == 0) for i in range(120)]
    stopped = [looks_at(run, model, RULE, budget=BUDGET)[-1].action == "abort" for run in fresh]
    assert np.mean(stopped[::2]) <= 0.1
    assert np.mean(stopped[1::2]) > 0.8


@pytest.mark.parametrize("chunk", [1, 13])
def test_a_live_run_is_judged_as_its_log(model: LookModel, runs: list[Run], chunk: int) -> None:
    """Samples come as they are made, looks are taken when due: the same to the last digit."""
    for run in runs[:6]:
        watch = LookWatch(model, budget=BUDGET)
        for first in range(0, STEPS.size, chunk):
            part = slice(first, first + chunk)
            for name, curve in run.channels.items():
                watch.take(name, curve.steps[part], curve.values[part])
            done = int(STEPS[part][-1]) + 1
            while (due := watch.next_look) is not None and due <= done:
                watch.look()
        logged = looks_at(run, model, LabelRule("val_acc", 2.0), budget=BUDGET)
        assert [own.probability for own in watch.verdicts] == [own.probability for own in logged]
        assert watch.verdicts == logged


def test_what_is_read_is_decided_once_a_validation_metric_is_there(
    model: LookModel, runs: list[Run]
) -> None:
    """Six evaluations by step 800; the weight norm comes too late."""
    coarse = {
        name: Curve(curve.steps[3::4], curve.values[3::4])
        for name, curve in runs[0].channels.items()
        if name != "train_loss"
    }
    norm = coarse["weight_norm"]
    coarse["weight_norm"] = Curve(norm.steps[9:], norm.values[9:])
    verdicts = looks_at(channels_of(runs[0], **coarse), model, RULE, budget=BUDGET)
    reads = {verdict.horizon: verdict.reads for verdict in verdicts}
    assert reads[400] == ("train_loss",)
    assert reads[800] == ("train_loss", "val_loss", "train_acc", "val_acc")
    assert {own for step, own in reads.items() if step and step >= 800 and own} == {reads[800]}


def test_a_run_that_has_generalised_is_left_alone(model: LookModel, runs: list[Run]) -> None:
    done = channels_of(runs[1], val_acc=Curve(STEPS, np.ones(STEPS.size)))
    verdicts = looks_at(done, model, RULE, budget=BUDGET)
    assert {verdict.action for verdict in verdicts} == {"continue"}
    assert all("generalised already" in verdict.reason for verdict in verdicts)
    assert len(verdicts) == looks_before(BUDGET).size


def test_uneven_logarithmic_and_interrupted_logs_are_looked_at(
    model: LookModel, runs: list[Run]
) -> None:
    rng = np.random.default_rng(0)
    octave = np.floor(8 * np.log2(STEPS + 1))
    for kept in (rng.random(STEPS.size) < 0.3, np.diff(octave, prepend=-1) > 0):
        own = {name: Curve(c.steps[kept], c.values[kept]) for name, c in runs[1].channels.items()}
        verdicts = looks_at(Run(own), model, RULE, budget=BUDGET)
        assert verdicts[-1].action == "abort"
    half = STEPS < 1500
    own = {name: Curve(c.steps[half], c.values[half]) for name, c in runs[0].channels.items()}
    assert len(looks_at(Run(own), model, RULE, budget=BUDGET)) <= looks_before(1500).size


def test_what_it_keeps_does_not_grow(model: LookModel) -> None:
    watch = LookWatch(model, budget=10**6)
    sizes = []
    for first in (0, 100_000, 900_000):
        steps = np.arange(first, first + 100_000)
        for name in PROFILED:
            watch.take(name, steps, np.full(steps.size, 0.5))
        sizes.append(len(pickle.dumps(watch._sums)))
    assert sizes[0] == sizes[-1] < 20_000


def test_after_an_abort_there_is_no_look(model: LookModel, runs: list[Run]) -> None:
    watch = LookWatch(model, budget=BUDGET)
    for name, curve in runs[1].channels.items():
        watch.take(name, curve.steps, curve.values)
    while watch.next_look is not None:
        last = watch.look()
    assert last.action == "abort"
    with pytest.raises(ValueError, match="last look was taken"):
        watch.look()
    with pytest.raises(ValueError, match="at least 1 step"):
        LookWatch(model, budget=0)
