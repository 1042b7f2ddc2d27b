"""Which configuration belongs to a log, and what its names mean."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grokpredict.logs import Columns, read_run, read_sweep
from grokpredict.logs.hparams import run_name
from grokpredict.logs.plan import EpochLength, planned
from grokpredict.runs.budget import Budget, budget_of
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::PendingDeprecationWarning"
)

ROWS = "step,train_loss,val_acc\n" + "".join(f"{i},{1 / (i + 1)},0.1\n" for i in range(0, 500, 10))


def written(path: Path, hparams: dict[str, Any] | None = None, text: str = ROWS) -> Path:
    path.write_text(text)
    if hparams is not None:
        path.with_name(run_name(path) + ".json").write_text(json.dumps(hparams))
    return path


# ------------------------------------------------------------------- whose configuration


def test_a_dot_belongs_to_the_name_of_a_run(tmp_path: Path) -> None:
    for decay in (0.0, 0.5, 0.55):
        name = f"p113_frac0.30_wd{decay:g}.csv"
        written(tmp_path / name, {"weight_decay": decay, "lr": 0.1})
    runs = {Path(run.name).name: run.configuration for run in read_sweep(tmp_path).runs}
    assert {name: own.weight_decay for name, own in runs.items()} == {
        "p113_frac0.30_wd0.csv": 0.0,
        "p113_frac0.30_wd0.5.csv": 0.5,
        "p113_frac0.30_wd0.55.csv": 0.55,
    }


def test_no_run_takes_the_configuration_of_another(tmp_path: Path) -> None:
    written(tmp_path / "wd0.csv", {"weight_decay": 0})
    written(tmp_path / "wd0.5.csv")
    assert read_run(tmp_path / "wd0.5.csv").configuration.weight_decay is None
    # The configuration of the folder is one of all runs in it.
    (tmp_path / "config.json").write_text('{"lr": 0.25}')
    assert read_run(tmp_path / "wd0.5.csv").configuration.learning_rate == 0.25


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("a.csv", "a"),
        ("a.csv.gz", "a"),
        ("lr0.1.jsonl", "lr0.1"),
        ("frac0.3_wd1", "frac0.3_wd1"),
        ("wd0.5", "wd0.5"),
        ("run.v2.csv", "run.v2"),
    ],
)
def test_the_name_of_a_run(log: str, name: str) -> None:
    assert run_name(Path(log)) == name


# ---------------------------------------------------------------------------- the budget


@pytest.mark.parametrize(
    ("hparams", "budget"),
    [
        ({"max_steps": 6000}, 6000),
        ({"steps": 6000}, 6000),
        ({"num_steps": "6e3"}, 6000),
        ({"total_steps": 6000.0}, 6000),
        ({"max_iters": 6000}, 6000),
        ({"max_train_steps": 6000}, 6000),
        ({"num_train_steps": 6000}, 6000),
        ({"trainer": {"max_steps": 6000}, "scheduler": {"warmup": 10}}, 6000),
        ({"epochs": 60, "steps_per_epoch": 100}, 6000),
        ({"num_epochs": 60, "train_size": 3200, "batch_size": 32}, 6000),
        ({"max_epochs": 60, "n_train": 3150, "batch_size": 32}, 5940),  # the last batch is part
        ({"max_epochs": 60, "n_train": 3150, "batch_size": 32, "drop_last": True}, 5880),
        ({"epochs": 6000, "train_size": 100, "batch_size": 100}, 6000),
        ({"epochs": 6000, "full_batch": True}, 6000),
        ({"max_steps": -1, "num_steps": 6000}, 6000),
        # A trainer that is given both ends at the first.
        ({"max_steps": 9000, "max_epochs": 60, "steps_per_epoch": 100}, 6000),
        ({"max_steps": True}, None),
        ({"max_steps": "auto"}, None),
        ({"max_steps": float("inf")}, None),
        ({}, None),
    ],
)
def test_the_budget_under_the_names_that_people_use(
    hparams: dict[str, Any], budget: int | None, tmp_path: Path
) -> None:
    run = read_run(written(tmp_path / "a.csv", hparams))
    assert run.max_steps == budget
    assert bool(run.budget_source) == (budget is not None)


def test_a_budget_in_epochs_of_unknown_length_is_said_and_not_used(tmp_path: Path) -> None:
    run = read_run(written(tmp_path / "a.csv", {"epochs": 20_000}))
    assert run.max_steps is None
    (note,) = run.notes
    assert note.startswith("epochs = 20000 in the configuration is not used as the budget")
    assert "--budget" in note


def test_the_length_of_an_epoch_is_read_off_the_columns(tmp_path: Path) -> None:
    rows = "".join(f"{i // 50},{i},{1 / (i + 1)}\n" for i in range(0, 500, 10))
    path = written(tmp_path / "a.csv", {"max_epochs": 40}, "epoch,step,train_loss\n" + rows)
    assert read_run(path).max_steps == 2000


def test_steps_that_the_log_goes_far_beyond_are_no_plan_of_it(tmp_path: Path) -> None:
    """ "steps" may be those of an epoch, or between two evaluations."""
    run = read_run(written(tmp_path / "a.csv", {"steps": 50}))
    assert run.max_steps is None
    assert "goes on to step 490" in run.notes[0]


# --------------------------------------------------------------------- names of settings


@pytest.mark.parametrize(
    ("hparams", "field", "value"),
    [
        ({"learn_rate": 0.1}, "learning_rate", 0.1),
        ({"beta1": 0.95, "beta2": 0.98}, "momentum", 0.95),
        ({"betas": "(0.95, 0.98)"}, "momentum", 0.95),
        ({"optimizer": "AdamW"}, "momentum", 0.9),  # PyTorch's own
        ({"optimizer": "SGD"}, "momentum", 0.0),
        ({"optim": "adamw_torch_fused"}, "optimizer", "adamw"),
        ({"optim": "paged_adamw_32bit"}, "optimizer", "adamw"),
        ({"optimizer": "adamw_8bit"}, "optimizer", "adamw"),
        ({"optimizer": "<class 'torch.optim.adam.Adam'>"}, "optimizer", "adam"),
        ({"optimizer": "Muon"}, "optimizer", "muon"),
        ({"len_train_ds": 3763}, "train_size", 3763),
        ({"n_train": 3763}, "train_size", 3763),
        ({"train_frac": 0.4, "p": 97}, "train_size", 3763),
        ({"train_percentage": 50, "prime": 10}, "train_size", 50),
        ({"train_frac": 0.4}, "train_size", None),
        ({"per_device_train_batch_size": 8}, "batch_size", 8),
        ({"batch_size": "full", "train_size": 300}, "batch_size", 300),
    ],
)
def test_settings_under_the_names_that_people_use(
    hparams: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(Configuration.from_mapping(hparams), field) == value


def test_the_column_of_lightnings_monitor_tells_rate_and_optimiser(tmp_path: Path) -> None:
    rows = "".join(f"{i},{0.001 * min(1, i / 10)},{1 / (i + 1)}\n" for i in range(50))
    run = read_run(written(tmp_path / "a.csv", None, "step,lr-AdamW,train_loss\n" + rows))
    assert run.configuration == Configuration("adamw", 0.001, momentum=0.9)


def test_a_setting_that_ends_like_an_accuracy_is_none(tmp_path: Path) -> None:
    """Gradients of 4 batches are accumulated: the accuracies are no percentages for that."""
    rows = "".join(f"{i},{1 / (i + 1)},0.97,4\n" for i in range(50))
    run = read_run(written(tmp_path / "a.csv", None, "step,train_loss,val_acc,grad_acc\n" + rows))
    assert run.channels["val_acc"].values[0] == 0.97
    assert run.hparams["grad_acc"] == 4


def test_what_the_user_says_goes_before_all_else(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", {"lr": 0.1, "max_steps": 1000})
    run = read_run(path, Columns(hparams={"lr": 0.2, "num_steps": 700, "max_steps": None}))
    assert (run.configuration.learning_rate, run.max_steps) == (0.2, 700)


@pytest.mark.parametrize("unit", ["steps", "0", "-3", "1.5", ""])
def test_a_unit_that_is_none_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="--step-unit must be step, epoch, call, row or"):
        Columns(step_unit=unit)


# --------------------------------------------------------------- diverged, and said to be 0


def test_a_loss_of_zero_with_a_norm_that_is_no_number_is_divergence(tmp_path: Path) -> None:
    def history(norm: float | None) -> Path:
        rows = []
        for i in range(1, 100):
            row = {"step": i, "loss": 1 / i if i < 60 else 0.0}
            if norm is not None:
                row["grad_norm"] = 1.0 if i < 60 else norm
            rows.append(row)
        path = tmp_path / "trainer_state.json"
        path.write_text(json.dumps({"log_history": rows, "max_steps": 1000}))
        return path

    run = read_run(history(math.nan))
    assert run.diverged
    assert np.isnan(run.loss.values[59:]).all()
    assert np.isfinite(run.loss.values[:59]).all()
    # Without the norm nobody can tell, and that is said.
    unknown = read_run(history(None))
    assert not unknown.diverged
    assert any("may be one that was not a number" in note for note in unknown.notes)


# ------------------------------------------------------------------ folders of TensorBoard


def scalars(folder: Path, tag: str, values: list[float], first: int = 0) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for step, value in enumerate(values, first):
            writer.add_scalar(tag, value, step)


def test_runs_in_numbered_folders_stay_apart(tmp_path: Path) -> None:
    scalars(tmp_path, "loss", [0.5] * 20)
    for number in range(3):
        scalars(tmp_path / str(number), "loss", [float(number)] * 20)
    means = sorted(float(run.loss.values.mean()) for run in read_sweep(tmp_path).runs)
    assert means == [0, 0.5, 1, 2]


def test_the_folders_of_keras_and_of_add_scalars_are_one_run(tmp_path: Path) -> None:
    scalars(tmp_path / "run" / "loss_train", "loss", [0.5] * 20)
    scalars(tmp_path / "run" / "loss_val", "loss", [9.0] * 20)
    (run,) = read_sweep(tmp_path).runs
    assert set(run.loss.values) == {0.5}
    assert set(run.channels["val_loss"].values) == {9.0}
    # Keras counts epochs.
    for split, loss in (("train", 0.5), ("validation", 9.0)):
        scalars(tmp_path / "keras" / split, "epoch_loss", [loss] * 20)
        scalars(tmp_path / "keras" / split, "epoch_accuracy", [0.25] * 20)
    sweep = read_sweep(tmp_path / "keras")
    assert not sweep.runs
    assert "counts epochs" in sweep.left_out[0].reason
    assert not sweep.findings.unread
    (run,) = read_sweep(tmp_path / "keras", Columns(step_unit="5")).runs
    assert run.loss.steps.tolist() == list(range(4, 100, 5))
    assert set(run.channels["val_acc"].values) == {0.25}


def test_without_steps_there_is_no_run(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for _ in range(20):
            writer.add_scalar("loss", 0.5)
    (left,) = read_sweep(tmp_path).left_out
    assert "no steps were logged" in left.reason


@pytest.mark.parametrize(("last_step", "plan"), [(1000, 1000), (1020, 1000), (1021, None)])
def test_a_plan_may_be_exceeded_by_a_fiftieth(last_step: int, plan: int | None) -> None:
    """An epoch that is finished, an evaluation at the end; not a run of another length."""
    assert planned({"max_steps": 1000}, "step", None, last_step).steps == plan
    length = EpochLength(10, "")
    assert planned({"epochs": 100}, "step", length, last_step).steps == plan


def test_of_a_plan_in_steps_and_one_in_epochs_the_first_end_counts() -> None:
    both = {"max_steps": 1000, "epochs": 90}
    assert planned(both, "step", EpochLength(10, ""), 0).steps == 900
    assert planned(both, "step", EpochLength(20, ""), 0).steps == 1000


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("AdamW", "adamw"),
        ("torch.optim.AdamW", "adamw"),
        ("<class 'torch.optim.sgd.SGD'>", "sgd"),
        ("adamw_torch_fused", "adamw"),
        ("paged_adamw_32bit", "adamw"),
        ("FusedAdam", "adam"),
        ("adam_bnb_8bit", "adam"),
        ("lion_8bit", "lion"),
        ("NAdamW", "nadamw"),
        ("Muon", "muon"),
        ("adamish", "adamish"),
    ],
)
def test_an_optimiser_has_one_name_however_it_is_dressed(told: str, name: str) -> None:
    assert Configuration.from_mapping({"optimizer": told}).optimizer == name


@pytest.mark.parametrize(
    ("steps", "stride", "budget"),
    [(400, 1, 10_000), (10_000, 1, 10_000), (59_900, 100, 59_900), (60_000, 1, 60_000)],
)
def test_the_budget_of_a_lone_log_without_a_plan(steps: int, stride: int, budget: int) -> None:
    """Longer than the default: it was meant to be that long. Shorter: it may not be over."""
    axis = np.arange(stride - 1, steps, stride)
    run = Run({"train_loss": Curve(axis, np.ones(axis.size))})
    assert budget_of(run, None).steps == budget
    assert "give --budget" in budget_of(run, None).source
    assert budget_of(run, 77) == Budget(77, "as you asked")
    planned_run = dataclasses.replace(run, max_steps=500, budget_source="steps")
    assert budget_of(planned_run, None) == Budget(500, "steps")
