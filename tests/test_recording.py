"""What is kept of a run: the same of a live run and of its log, bounded, and its spectrum."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from grokpredict.features.columns import SIGNATURE
from grokpredict.features.profile import LOOKS, PROFILED, looks_before
from grokpredict.features.recording import KEPT, WINDOWS, Recording, compute_signatures
from grokpredict.features.signal import extract
from grokpredict.runs.curve import Curve


def losses(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    return np.exp(-t / 900) * (1 + 0.05 * np.sin(0.7 * t) + 0.01 * rng.standard_normal(n)) + 0.1


def recorded(steps: np.ndarray, values: np.ndarray) -> Recording:
    return Recording.of({"train_loss": Curve(steps, values)})


def look_at(step: int) -> int:
    return int(np.searchsorted(LOOKS, step))


@pytest.mark.parametrize(("step", "window"), [(200, 200), (282, 200), (400, 400), (3200, 1600)])
def test_a_look_reads_the_longest_window_that_there_is(step: int, window: int) -> None:
    """The reference: the features of those very samples."""
    values = losses(5000)
    (row,) = recorded(np.arange(5000), values).signature([look_at(step)])
    np.testing.assert_array_equal(row[:-1], extract(values[None, :window])[0])
    assert row[-1] == 0


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        (np.arange(0, 20_000, 50), 0),
        (np.arange(49, 20_000, 50), 0),
        (np.r_[0, np.arange(49, 20_000, 50)], 1),
        (np.r_[1, np.arange(50, 20_000, 50)], 1),
    ],
)
def test_every_usual_way_to_count_steps_is_a_grid(steps: np.ndarray, first: int) -> None:
    values = losses(steps.size)
    recording = recorded(steps, values)
    assert np.isnan(recording.signature([look_at(6400)])).all()  # 128 losses by then
    (row,) = recording.signature([look_at(12_800)])
    np.testing.assert_array_equal(row[:-1], extract(values[None, first : first + 200])[0])
    assert row[-1] == np.log2(50)


@pytest.mark.parametrize(
    "steps",
    [
        np.unique(np.round(1.03 ** np.arange(300)).astype(int)),  # logarithmic
        np.delete(np.arange(1000), 150),  # a gap before 200
        np.arange(5000, 6000),  # without its start
    ],
)
def test_without_an_even_grid_from_the_start_on_it_is_missing(steps: np.ndarray) -> None:
    looks = list(range(12))
    assert np.isnan(recorded(steps, losses(steps.size)).signature(looks)).all()


def test_what_breaks_off_keeps_its_last_whole_window() -> None:
    values = losses(2000)
    values[900] = np.nan
    recording = recorded(np.arange(2000), values)
    for step in (800, 1600, 12_800):
        (row,) = recording.signature([look_at(step)])
        np.testing.assert_array_equal(row[:-1], extract(values[None, :800])[0])
    values[100] = np.inf
    assert np.isnan(recorded(np.arange(2000), values).signature([3, 9])).all()


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_live_run_and_its_log_have_the_same_columns(at_once: int) -> None:
    """To the last bit, however the samples come, and after a resume."""
    steps = np.arange(3000)
    values = {"train_loss": losses(3000), "val_acc": np.clip(losses(3000, 1) - 0.5, 0, 1)}
    live = Recording()
    for first in range(0, steps.size, at_once):
        part = slice(first, first + at_once)
        for channel, own in values.items():
            live.take(channel, steps[part], own[part])
        if first <= 1100 < first + at_once:
            resumed = Recording()
            resumed.restore(json.loads(json.dumps(live.state())))
            live = resumed
    logged = Recording.of({name: Curve(steps, own) for name, own in values.items()})
    looks = range(looks_before(3000).size)
    np.testing.assert_array_equal(live.columns(looks, 9000.0), logged.columns(looks, 9000.0))


def test_looks_while_it_trains_change_nothing() -> None:
    steps, values = np.arange(3000), losses(3000)
    live = Recording()
    for look, (first, end) in enumerate(zip([0, *LOOKS[:7]], LOOKS[:8], strict=True)):
        live.take("train_loss", steps[first:end], values[first:end])
        row = live.columns([look], 9000.0)
        np.testing.assert_array_equal(row, recorded(steps, values).columns([look], 9000.0))


def test_many_at_once_are_as_each_alone() -> None:
    runs = [recorded(np.arange(0, 700 * s, s), losses(700, s)) for s in (1, 2, 10)]
    together = [recorded(np.arange(0, 700 * s, s), losses(700, s)) for s in (1, 2, 10)]
    compute_signatures(together)
    for one, other in zip(runs, together, strict=True):
        np.testing.assert_array_equal(one.signature(range(12)), other.signature(range(12)))


def test_what_is_kept_does_not_grow() -> None:
    recording = Recording()
    sizes = []
    for first in (0, 100_000, 900_000):
        steps = np.arange(first, first + 100_000)
        for channel in (*PROFILED, "grad_norm"):
            recording.take(channel, steps, np.full(steps.size, 0.5))
        sizes.append(len(pickle.dumps(recording)))
    assert sizes[0] == sizes[-1] < 50_000
    assert recording.state()["steps"] == list(range(KEPT))
    assert WINDOWS[-1] < KEPT
    assert len(SIGNATURE) == 16
