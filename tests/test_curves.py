"""The data model: what a window takes from a log, and which logs it refuses."""

import copy
import pickle

import numpy as np
import pytest

from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, UnsuitableRunError, check_window
from grokpredict.runs.run import Run, window
from grokpredict.runs.sweep import Sweep


def run_on(steps, **fields):
    """Return a run whose loss at step s is s, so that a window shows the steps it took."""
    steps = np.asarray(steps)
    return Run({"train_loss": Curve(steps, steps.astype(float))}, **fields)


# Curves


@pytest.mark.parametrize(
    ("steps", "values", "message"),
    [
        ([0, 1, 1], [1, 1, 1], "steps must increase"),
        ([0, 2, 1], [1, 1, 1], "steps must increase"),
        ([-1, 0], [1, 1], "whole number from 0"),
        ([0, 1], [1, 1, 1], r"shapes \(2,\) and \(3,\)"),
        ([[0, 1]], [[1, 1]], "one-dimensional"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(steps, values, message):
    with pytest.raises(ValueError, match=message):
        Curve(np.array(steps), np.array(values, dtype=float))


def test_a_curve_keeps_its_own_copy_that_nobody_can_change():
    values = np.ones(3)
    curve = Curve(np.arange(3), values)
    values[0] = 7
    assert curve.values[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        curve.values[0] = 7


@pytest.mark.parametrize(
    ("steps", "stride"), [([0, 50, 100], 50), ([49, 99], 50), ([1, 2, 3], 1), ([7], 1), ([], 1)]
)
def test_stride(steps, stride):
    assert Curve(np.array(steps, dtype=int), np.zeros(len(steps))).stride == stride


# Windows


@pytest.mark.parametrize("first", [0, 1])
def test_a_window_on_the_own_grid_is_the_first_steps(first):
    got = window([run_on(np.arange(first, first + 500))], 400)
    assert got.shape == (1, 400)
    np.testing.assert_array_equal(got[0], np.arange(first, first + 400))


@pytest.mark.parametrize("first", [0, 1, 49, 50])
def test_a_strided_log_is_taken_whatever_its_first_step(first):
    steps = np.arange(first, 4000, 50)
    np.testing.assert_array_equal(window([run_on(steps)], 400, 50)[0], steps[:8])


@pytest.mark.parametrize(("first", "own"), [(0, 1), (1, 1), (9, 10), (10, 10)])
def test_a_finer_log_is_thinned_to_the_last_of_each_stride(first, own):
    got = window([run_on(np.arange(first, 1000, own))], 400, 50)[0]
    expected = np.arange(50, 401, 50) - own + first
    np.testing.assert_array_equal(got, expected)


def test_runs_of_different_grids_share_a_window():
    runs = [
        run_on(np.arange(1000)),
        run_on(np.arange(9, 1000, 10)),
        run_on(np.arange(49, 1000, 50)),
    ]
    got = window(runs, 800, 50)
    assert got.shape == (3, 16)
    np.testing.assert_array_equal(got[0], got[2])
    np.testing.assert_array_equal(got[0], got[1])


def test_what_comes_after_the_window_does_not_matter():
    steps = np.r_[np.arange(400), 500, 777]
    np.testing.assert_array_equal(window([run_on(steps)], 400)[0], np.arange(400))


@pytest.mark.parametrize(
    ("steps", "stride", "message"),
    [
        (np.arange(0, 4000, 50), 1, "every 50 steps.*grid of 1;"),
        (np.arange(0, 4000, 20), 50, "every 20 steps.*grid of 50;"),
        (np.arange(399), 1, "needs 400 recorded losses, the run has 399"),
        (np.arange(200, 900), 1, "first recorded step is 200"),
        (np.arange(2, 900), 1, "first recorded step is 2"),
        (np.arange(99, 9000, 50), 50, "first recorded step is 99"),
        (np.r_[np.arange(100), np.arange(103, 900)], 1, "after step 99 they are not"),
        (np.arange(900), 500, "shorter than one step of the grid, 500"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_with_the_reason(steps, stride, message):
    with pytest.raises(UnsuitableRunError, match=message):
        check_window(run_on(steps).loss, 400, stride)
    with pytest.raises(UnsuitableRunError, match=message):
        window([run_on(np.arange(0, 5000, stride)), run_on(steps)], 400, stride)


def test_nan_is_kept():
    losses = np.ones(400)
    losses[3] = np.nan
    run = Run({"train_loss": Curve(np.arange(400), losses)})
    assert np.isnan(window([run], 400)[0, 3])


def test_no_runs_give_an_empty_window():
    assert window([], 400, 10).shape == (0, 40)


# Runs


@pytest.mark.parametrize("channels", [{}, {"val_acc": Curve(np.arange(2), np.ones(2))}])
def test_a_run_must_have_a_training_loss(channels):
    with pytest.raises(ValueError, match="lightning_logs/version_3 has none"):
        Run(channels, name="lightning_logs/version_3")


def test_the_seed_does_not_make_a_configuration_and_the_learning_rate_does():
    one, again, other = (
        run_on([0, 1], hparams=h, name=n)
        for h, n in (
            ({"lr": 1e-3, "seed": 0}, "a"),
            ({"seed": 1, "lr": 1e-3}, "b"),
            ({"lr": 1e-4, "seed": 0}, "c"),
        )
    )
    assert one.configuration_key == again.configuration_key != other.configuration_key


def test_runs_without_hyperparameters_are_configurations_of_their_own():
    """By their losses: a log that was moved or copied is the same run."""
    assert run_on([0]).configuration_key != run_on([0, 1]).configuration_key
    assert run_on([0], name="a").configuration_key == run_on([0], name="b").configuration_key


def test_last_step_and_divergence():
    loss = Curve(np.arange(3), np.array([1.0, 2.0, np.inf]))
    run = Run({"train_loss": loss, "val_acc": Curve(np.array([1, 9]), np.zeros(2))})
    assert run.last_step == 9
    assert run.diverged
    recovered = Run({"train_loss": Curve(np.arange(3), np.array([1.0, np.nan, 2.0]))})
    assert not recovered.diverged


def test_a_run_cannot_be_changed_through_the_mappings_it_was_made_of():
    hparams = {"lr": 1.0}
    run = run_on([0], hparams=hparams)
    hparams["lr"] = 2.0
    assert run.hparams["lr"] == 1.0
    with pytest.raises(TypeError):
        run.channels["val_acc"] = run.loss


@pytest.mark.parametrize("through", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_a_run_goes_to_another_process_and_comes_back_whole(through):
    run = run_on(
        [0, 1, 2],
        hparams={"lr": 1.0},
        configuration=Configuration("adam"),
        max_steps=9,
        name="here",
    )
    sweep = through(Sweep([run]))
    got = sweep.runs[0]
    np.testing.assert_array_equal(got.loss.values, run.loss.values)
    assert (got.configuration, got.hparams, got.max_steps, got.name) == (
        run.configuration,
        run.hparams,
        9,
        "here",
    )
    assert got.configuration_key == run.configuration_key
    with pytest.raises(TypeError):
        got.hparams["lr"] = 2.0


# Configuration


@pytest.mark.parametrize(
    ("hparams", "field", "value"),
    [
        ({"lr": 1e-3}, "learning_rate", 1e-3),
        ({"LR": "1e-3"}, "learning_rate", 1e-3),
        ({"max-lr": 0.1}, "learning_rate", 0.1),
        ({"learning_rate": 0.5, "lr": 0.1}, "learning_rate", 0.5),
        ({"learning_rate": None, "lr": 0.1}, "learning_rate", 0.1),
        ({"wd": 0}, "weight_decay", 0.0),
        ({"optim": "torch.optim.AdamW"}, "optimizer", "adamw"),
        ({"optimiser": "SGD"}, "optimizer", "sgd"),
        ({"beta1": 0.9}, "momentum", 0.9),
        ({"betas": [0.9, 0.98]}, "momentum", 0.9),
        ({"betas": (0.9, 0.98)}, "momentum", 0.9),
        ({"bs": 128}, "batch_size", 128),
        ({"train_batch_size": "64"}, "batch_size", 64),
        ({"n_train": 2822.0}, "train_size", 2822),
        ({"num_params": 1_000_000}, "n_parameters", 1_000_000),
    ],
)
def test_context_knows_the_names_that_people_use(hparams, field, value):
    configuration = Configuration.from_mapping(hparams)
    got = getattr(configuration, field)
    assert got == value
    assert type(got) is type(value)
    # A kind of optimiser tells its momentum, unless it is given.
    known = {name: v for name, v in configuration.known().items() if name != "momentum"}
    assert known == ({} if field == "momentum" else {field: value})


@pytest.mark.parametrize(
    "hparams",
    [
        {},
        {"lr": "auto"},
        {"lr": True},
        {"lr": float("nan")},
        {"lr": {"max": 1}},
        {"betas": []},
        {"lr": [1e-3, 1e-4]},
        {"optimizer": ""},
        {"optimizer": {"name": "adam"}},
        {"batch_size": "auto"},
        {"batch_size": -1},
        {"train_size": 0},
        {"n_parameters": 0},
        {"lr": 0.0},
        {"lr": -1e-3},
    ],
)
def test_what_context_cannot_read_it_does_not_know(hparams):
    assert Configuration.from_mapping(hparams) == Configuration()
    assert Configuration().known() == {}
