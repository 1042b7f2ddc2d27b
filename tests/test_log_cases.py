"""Logs that could be read as something else: each as what it is, with a note, or refused.

One run, written in the ways that people write it: 600 losses, evaluated every 25 steps, that
generalises at step 400. What is read of it must be the same run, or nothing.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grokpredict
from grokpredict.logs import Columns, read_sweep
from grokpredict.runs.labels import outcome
from grokpredict.runs.run import Run

STEPS = np.arange(600)
LOSSES = np.exp(-STEPS / 100) * (1 + 0.1 * np.sin(STEPS)) + 1e-3
EVERY = 25
EVALUATED = STEPS[::EVERY]
ACCURACIES = np.where(EVALUATED >= 400, 0.96 + EVALUATED / 20_000, EVALUATED / 2000)
VAL_LOSSES = 2 + np.cos(EVALUATED / 30)


@dataclass(frozen=True)
class Expected:
    """What must come of a log; an empty ``refused`` and ``note`` mean that there is none."""

    refused: str = ""
    note: str = ""
    t4: int | None = 400
    diverged_at: int | None = None
    steps: tuple[int, ...] = (0, 1, 2, 599)
    unit: str = "step"
    runs: int = 1


def rows(*, holes: Any = "", fill: bool = False, every: int = 1) -> list[dict[str, Any]]:
    """One row a step; between evaluations ``holes``, or the last one once more."""
    found = []
    for step, loss in zip(STEPS.tolist(), LOSSES.tolist(), strict=True):
        i, here = step // EVERY, step % EVERY == 0
        acc = float(ACCURACIES[i]) if here or fill else holes
        found.append({"step": step, "train_loss": loss, "val_acc": acc})
    return found[::every]


def write_csv(path: Path, found: Iterable[Mapping[str, Any]], header: Any = None) -> None:
    found = list(found)
    names = list(dict.fromkeys(key for row in found for key in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header or names)
        writer.writerows([row.get(name, "") for name in names] for row in found)


def write_jsonl(path: Path, found: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


def renamed(found: Iterable[Mapping[str, Any]], **names: str | None) -> list[dict[str, Any]]:
    """Rows with other names of columns; None leaves one out."""
    return [
        {names.get(key, key): own for key, own in row.items() if names.get(key, key) is not None}
        for row in found
    ]


CASES: dict[str, tuple[Callable[[Path], None], Columns, Expected]] = {}


def case(expected: Expected, columns: Columns | None = None) -> Callable[[Any], Any]:
    def register(write: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES[write.__name__] = (write, columns or Columns(), expected)
        return write

    return register


# ------------------------------------------------------------------ what the rows count


def epochs(folder: Path, hparams: Mapping[str, Any] = {}, name: str = "epoch") -> None:
    """Written at the end of each epoch of 25 steps."""
    found = [
        {name: epoch, "train_loss": float(LOSSES[(epoch + 1) * EVERY - 1]), "val_acc": float(acc)}
        for epoch, acc in enumerate(ACCURACIES)
    ]
    write_csv(folder / "log.csv", found)
    (folder / "log.json").write_text(json.dumps(hparams))


IN_EPOCHS = (24, 49, 74, 599)


@case(Expected(note="25 steps an epoch", t4=424, steps=IN_EPOCHS))
def epochs_of_known_size(folder: Path) -> None:
    epochs(folder, {"batch_size": 32, "train_size": 800})


@case(Expected(note="25 steps an epoch", t4=424, steps=IN_EPOCHS))
def epochs_with_accumulated_gradients(folder: Path) -> None:
    epochs(folder, {"batch_size": 16, "n_train": 800, "accumulate_grad_batches": 2})


@case(Expected(note="25 steps an epoch", t4=424, steps=IN_EPOCHS))
def epochs_with_their_length(folder: Path) -> None:
    epochs(folder, {"steps_per_epoch": 25})


@case(Expected(note="converted with 1 steps", t4=16, steps=(0, 1, 2, 23)))
def epochs_of_full_batches(folder: Path) -> None:
    epochs(folder, {"batch_size": 800, "len_train_ds": 800})


@case(Expected(refused=r"counts epochs in column 'epoch'.*--step-unit N.*train_size"))
def epochs_of_unknown_size(folder: Path) -> None:
    epochs(folder)


@case(Expected(refused=r"counts epochs in column 'Epoch'"))
def epochs_in_capitals(folder: Path) -> None:
    epochs(folder, name="Epoch")


@case(Expected(note="so must the budget be", t4=16, steps=(0, 1, 2, 23), unit="epoch"))
def epochs_with_a_budget_in_epochs(folder: Path) -> None:
    epochs(folder, {"num_epochs": 40})


@case(
    Expected(note="so must the budget be", t4=16, steps=(0, 1, 2, 23), unit="epoch"),
    Columns(step_unit="epoch"),
)
def epochs_as_asked(folder: Path) -> None:
    epochs(folder)


@case(Expected(t4=16, steps=(0, 1, 2, 23)), Columns(step="epoch"))
def epochs_that_are_steps_by_name(folder: Path) -> None:
    epochs(folder)


@case(
    Expected(note=r"25 steps an epoch \(--step-unit 25\)", t4=424, steps=IN_EPOCHS),
    Columns(step="epoch", step_unit="25"),
)
def epochs_of_told_size(folder: Path) -> None:
    epochs(folder)


@case(Expected(refused="counts epochs"))
def keras_csv_logger(folder: Path) -> None:
    found = [
        {"epoch": i, "accuracy": 0.5, "loss": 1 / (i + 1), "val_accuracy": "NA" if i % 5 else 0.1}
        for i in range(50)
    ]
    write_csv(folder / "log.csv", found)


@case(Expected(refused="counts epochs"))
def ultralytics_results(folder: Path) -> None:
    names = ["                  epoch", "             train/loss", "  metrics/accuracy_top1"]
    write_csv(
        folder / "results.csv",
        ({names[0]: i, names[1]: 1.0, names[2]: 0.1} for i in range(9)),
        names,
    )


@case(Expected(note="the column without a name is taken", steps=(0, 5, 10, 595)))
def index_of_pandas(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(every=5), step=""))


@case(Expected(note="'Unnamed: 0' is taken", steps=(0, 5, 10, 595)))
def index_of_pandas_written_twice(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(every=5), step="Unnamed: 0"))


@case(Expected(note="every row is taken for one", unit="row"))
def index_that_counts_rows(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(), step=""))


@case(Expected(note="every row is taken for one", unit="row"))
def nothing_that_counts(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(), step=None))


@case(Expected())
def rows_as_many_as_planned(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(), step=None))
    (folder / "log.json").write_text('{"num_steps": 600}')


@case(Expected(note="a row is 5 steps", steps=(0, 5, 10, 595)))
def rows_at_the_cadence_of_the_plan(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(every=5), step=None))
    (folder / "log.json").write_text('{"num_steps": 600, "log_every": 5}')


@case(Expected(refused="log_every = 5; say --step-unit 5"))
def rows_at_an_unconfirmed_cadence(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(every=5), step=None))
    (folder / "log.json").write_text('{"log_every": 5}')


@case(Expected(note="begins again in every epoch: converted with 60 steps an epoch"))
def steps_within_epochs(folder: Path) -> None:
    found = [{"epoch": row["step"] // 60, **row, "step": row["step"] % 60} for row in rows()]
    write_csv(folder / "log.csv", found)


def wandb_rows() -> list[dict[str, Any]]:
    """A call for each loss, and one more for each evaluation."""
    calls: list[dict[str, Any]] = []
    for row in rows():
        calls.append({"_step": len(calls), "train_loss": row["train_loss"], "val_acc": ""})
        if row["val_acc"] != "":
            calls.append({"_step": len(calls), "train_loss": "", "val_acc": row["val_acc"]})
    return calls


@case(Expected(note="every call of log with a loss", unit="call"))
def calls_of_wandb(folder: Path) -> None:
    write_csv(folder / "log.csv", wandb_rows())


@case(Expected(refused=r"_step in .* counts calls.*2 calls apart.*--step-unit row"))
def two_calls_a_step(folder: Path) -> None:
    found = renamed(rows(), step="_step")
    write_csv(folder / "log.csv", ({**row, "_step": 2 * row["_step"]} for row in found))


@case(Expected(note="_step is taken for the optimiser step", steps=(0, 25, 50, 575)))
def steps_given_to_wandb(folder: Path) -> None:
    write_csv(folder / "log.csv", renamed(rows(every=25), step="_step"))


@case(Expected(refused="has the same number, 0, in column 'step': no steps were logged"))
def always_step_zero(folder: Path) -> None:
    write_csv(folder / "log.csv", ({**row, "step": 0} for row in rows()))


# ------------------------------------------------------------- which rows are one series


@case(Expected())
def split_rows(folder: Path) -> None:
    found: list[dict[str, Any]] = []
    for row in rows():
        found.append({"step": row["step"], "split": "train", "loss": row["train_loss"], "acc": 0.5})
        if row["val_acc"] != "":
            found.append({"step": row["step"], "split": "val", "loss": 3.0, "acc": row["val_acc"]})
    write_csv(folder / "log.csv", found)


@case(Expected())
def phases_in_json_lines(folder: Path) -> None:
    found: list[dict[str, Any]] = []
    for row in rows():
        found.append({"phase": "Training", "step": row["step"], "loss": row["train_loss"]})
        if row["val_acc"] != "":
            found.append({"phase": "Evaluation", "step": row["step"], "accuracy": row["val_acc"]})
    write_jsonl(folder / "log.jsonl", found)


@case(Expected(refused="must have a column with the training loss"))
def split_rows_of_validation_alone(folder: Path) -> None:
    write_csv(folder / "log.csv", ({"step": i, "split": "val", "loss": 1.0} for i in range(50)))


@case(Expected())
def one_metric_a_row(folder: Path) -> None:
    found: list[dict[str, Any]] = []
    for row in rows():
        told = {"step": row["step"], "layer": ""}
        found.append({**told, "input_type": "train", "metric": "loss", "value": row["train_loss"]})
        found.append({**told, "input_type": "train", "metric": "norm", "layer": "a", "value": 9.0})
        if row["val_acc"] != "":
            found.append(
                {**told, "input_type": "test", "metric": "accuracy", "value": row["val_acc"]}
            )
    write_csv(folder / "log.csv", found)


@case(Expected())
def melted_by_seaborn(folder: Path) -> None:
    found = [
        {"step": row["step"], "variable": name, "value": row[name]}
        for name in ("train_loss", "val_acc")
        for row in rows()
        if row[name] != ""
    ]
    write_csv(folder / "log.csv", found)


@case(Expected(runs=2))
def runs_in_turn(folder: Path) -> None:
    found = [{"run": run, **row} for row in rows() for run in ("a", "b")]
    write_csv(folder / "log.csv", found)


@case(Expected(runs=2))
def runs_by_seed_and_rate(folder: Path) -> None:
    found = [{"seed": 0, "lr": lr, **row} for lr in (0.1, 0.2) for row in rows()]
    write_csv(folder / "log.csv", found)


@case(Expected(refused=r"column 'colour' tells.*--split-column 'colour'"))
def runs_by_an_unknown_column(folder: Path) -> None:
    write_csv(folder / "log.csv", ({"colour": c, **row} for c in "xy" for row in rows()))


@case(Expected(runs=2), Columns(split="colour"))
def runs_by_a_named_column(folder: Path) -> None:
    write_csv(folder / "log.csv", ({"colour": c, **row} for c in "xy" for row in rows()))


@case(Expected(refused=r"steps must not go back.*--split-column"))
def runs_one_after_the_other(folder: Path) -> None:
    write_csv(folder / "log.csv", rows() + rows())


@case(Expected(refused=r"'seed_0', 'seed_1'.*--loss-column 'seed_\*'"))
def a_column_a_run(folder: Path) -> None:
    found = ({"step": i, "seed_0": own, "seed_1": own} for i, own in enumerate(LOSSES.tolist()))
    write_csv(folder / "log.csv", found)


@case(Expected(runs=2, t4=None), Columns(loss="seed_*"))
def a_column_a_run_that_is_told(folder: Path) -> None:
    a_column_a_run(folder)


@case(Expected(runs=2, note="columns are those with 'seed0'"))
def columns_of_each_run(folder: Path) -> None:
    found = [
        {"step": row["step"]}
        | {f"{name}/seed{seed}": row[name] for seed in (0, 1) for name in ("train_loss", "val_acc")}
        for row in rows()
    ]
    write_csv(folder / "log.csv", found)


@case(Expected(refused="has 'loss' twice with different values"))
def two_columns_of_one_name(folder: Path) -> None:
    text = "".join(f"{i},{loss},{2.0}\n" for i, loss in enumerate(LOSSES))
    (folder / "log.csv").write_text("step,loss,loss\n" + text)


@case(Expected(t4=None))
def one_column_written_twice(folder: Path) -> None:
    text = "".join(f"{i},{loss!r},{loss!r}\n" for i, loss in enumerate(LOSSES.tolist()))
    (folder / "log.csv").write_text("step,loss,loss\n" + text)


@case(Expected(refused="has 'Loss' and 'loss'; name the right one with --loss-column"))
def columns_that_differ_in_case(folder: Path) -> None:
    write_csv(folder / "log.csv", ({"step": i, "Loss": 1.0, "loss": 2.0} for i in range(50)))


@case(Expected(refused="has 'loss' twice"))
def names_twice_in_an_object(folder: Path) -> None:
    lines = (f'{{"step": {i}, "loss": {loss}, "loss": 2.0}}\n' for i, loss in enumerate(LOSSES))
    (folder / "log.jsonl").write_text("".join(lines))


# --------------------------------------------------------------------- missing, or NaN


@case(Expected())
def holes_of_pandas(folder: Path) -> None:
    write_csv(folder / "log.csv", rows(holes="nan"))


@case(Expected())
def holes_called_na(folder: Path) -> None:
    write_csv(folder / "log.csv", rows(holes="NA"))


@case(Expected())
def holes_called_none(folder: Path) -> None:
    write_csv(folder / "log.csv", rows(holes="None"))


@case(Expected())
def holes_in_json_lines(folder: Path) -> None:
    write_jsonl(folder / "log.jsonl", rows(holes=float("nan")))


@case(Expected())
def losses_missing_where_it_was_evaluated(folder: Path) -> None:
    found: list[dict[str, Any]] = []
    for row in rows():
        found.append({**row, "val_acc": "nan"})
        if row["val_acc"] != "":
            found.append({**row, "train_loss": "nan"})
    # The last row is an evaluation, and no divergence.
    found.append({"step": 600, "train_loss": "nan", "val_acc": 0.99})
    write_csv(folder / "log.csv", found)


@case(Expected(t4=None, diverged_at=300))
def losses_that_are_no_numbers_to_the_end(folder: Path) -> None:
    """Evaluations go on beside them, in the same rows as before: the run diverged."""
    found = [{**row, "val_acc": 0.1 + row["step"] / 6000} for row in rows()]
    for row in found[300:]:
        row["train_loss"] = "nan"
    write_csv(folder / "log.csv", found)


# ---------------------------------------------------------- evaluations counted once


@case(Expected(note="repeated for 25 rows"))
def evaluations_repeated(folder: Path) -> None:
    write_csv(folder / "log.csv", rows(fill=True))


@case(Expected(note="repeated for 25 rows", t4=None))
def one_lucky_evaluation_repeated(folder: Path) -> None:
    found = [{**row, "val_acc": 0.96 if 200 <= row["step"] < 225 else 0.1} for row in rows()]
    write_csv(folder / "log.csv", found)


@case(Expected(t4=400, steps=(0, 1, 2, 599)))
def constant_accuracies_are_evaluations(folder: Path) -> None:
    found = [{**row, "val_acc": 1.0 if row["step"] >= 400 else 0.01} for row in rows()]
    write_csv(folder / "log.csv", found)


# --------------------------------------------------------------------------- cadence


@case(Expected(note="losses before step 10", steps=(10, 20, 30, 590), t4=400))
def first_then_every_ten(folder: Path) -> None:
    kept = [row for row in rows(fill=True) if row["step"] % 10 == 0 or row["step"] == 1][1:]
    write_csv(folder / "log.csv", kept)


@case(Expected(note="losses before step 50", steps=(50, 100, 150, 550), t4=400))
def zero_one_ten_then_every_fifty(folder: Path) -> None:
    kept = [row for row in rows(fill=True) if row["step"] % 50 == 0 or row["step"] in (1, 10)]
    write_csv(folder / "log.csv", kept)


@case(Expected(note="losses before step 9", steps=(9, 19, 29, 599), t4=409))
def zero_then_nine(folder: Path) -> None:
    kept = [row for row in rows(fill=True) if row["step"] % 10 == 9 or row["step"] == 0]
    write_csv(folder / "log.csv", kept)


@case(Expected(t4=400, steps=(0, 1, 2, 590)))
def logarithmic_steps(folder: Path) -> None:
    chosen = {*range(20), *np.unique(np.geomspace(20, 599, 60).astype(int)).tolist(), 400, 425, 590}
    chosen -= set(range(591, 600))
    write_csv(folder / "log.csv", [row for row in rows(fill=True) if row["step"] in chosen])


# ----------------------------------------------------------------- JSON and arrays


ARRAYS = {"steps": STEPS.tolist(), "train_loss": LOSSES.tolist()}
SPARSE = {"val_acc": ACCURACIES.tolist(), "val_acc_steps": EVALUATED.tolist()}


@case(Expected())
def json_of_lists(folder: Path) -> None:
    (folder / "history.json").write_text(json.dumps({"lr": 0.1, **ARRAYS, **SPARSE}))


@case(Expected())
def json_of_lists_by_split(folder: Path) -> None:
    nested = {
        "train": {"loss": LOSSES.tolist(), "steps": STEPS.tolist()},
        "test": {"acc": ACCURACIES.tolist(), "steps": EVALUATED.tolist()},
    }
    (folder / "history.json").write_text(json.dumps(nested))


@case(Expected())
def json_of_pairs(folder: Path) -> None:
    pairs = {
        "train_loss": list(map(list, zip(STEPS.tolist(), LOSSES.tolist(), strict=True))),
        "val_acc": list(map(list, zip(EVALUATED.tolist(), ACCURACIES.tolist(), strict=True))),
    }
    (folder / "history.json").write_text(json.dumps(pairs))


@case(Expected())
def json_records(folder: Path) -> None:
    (folder / "history.json").write_text(json.dumps(rows(holes=None)))


@case(Expected())
def json_configuration_and_history(folder: Path) -> None:
    document = {"config": {"lr": 0.1}, "grokked": True, "history": rows(holes=None)}
    (folder / "results.json").write_text(json.dumps(document, indent=2))


@case(Expected(runs=2))
def json_of_runs(folder: Path) -> None:
    one = {"config": {"lr": 0.1}, "history": {**ARRAYS, **SPARSE}}
    (folder / "results.json").write_text(json.dumps({"seed_0": one, "seed_1": one}))


@case(Expected(refused="val_acc has 24 values beside 600 losses; put its steps beside it"))
def json_lists_of_two_lengths(folder: Path) -> None:
    lists = {"train_loss": LOSSES.tolist(), "val_acc": ACCURACIES.tolist()}
    (folder / "history.json").write_text(json.dumps(lists))


@case(Expected(note="every 25 steps, by eval_every"))
def json_lists_with_the_cadence_told(folder: Path) -> None:
    lists = {"train_loss": LOSSES.tolist(), "val_acc": ACCURACIES.tolist(), "eval_every": 25}
    (folder / "history.json").write_text(json.dumps({**lists, "max_steps": 600}))


@case(Expected(refused="val_acc has 24 values beside 600 losses"))
def npz_of_two_lengths(folder: Path) -> None:
    np.savez(folder / "a.npz", train_loss=LOSSES, val_acc=ACCURACIES)


@case(Expected(steps=(0, 25, 50, 575)))
def npz_with_steps(folder: Path) -> None:
    np.savez(folder / "a.npz", steps=EVALUATED, train_loss=LOSSES[::EVERY], test_acc=ACCURACIES)


@case(Expected(steps=(0, 25, 50, 575), runs=2))
def npz_of_two_runs(folder: Path) -> None:
    arrays = {"train_loss": LOSSES[::EVERY], "test_acc": ACCURACIES}
    np.savez(
        folder / "a.npz", steps=EVALUATED, **{k: np.tile(v, (2, 1)) for k, v in arrays.items()}
    )


@case(Expected(steps=(0, 25, 50, 575), runs=2))
def npz_of_two_runs_turned(folder: Path) -> None:
    arrays = {"train_loss": LOSSES[::EVERY], "test_acc": ACCURACIES}
    tables = {k: np.tile(v, (2, 1)).T for k, v in arrays.items()}
    np.savez(folder / "a.npz", steps=EVALUATED, **tables)


@case(Expected())
def npy_of_each_channel(folder: Path) -> None:
    for name, own in {"train_loss": LOSSES, "steps": STEPS}.items():
        np.save(folder / f"{name}.npy", own)
    np.save(folder / "val_acc.npy", ACCURACIES)
    np.save(folder / "val_steps.npy", EVALUATED)


@case(Expected(runs=2))
def percent_in_a_bundle(folder: Path) -> None:
    """The second run is at chance, one in a hundred: of it alone nobody could tell."""
    accuracies = np.stack([100 * ACCURACIES, np.full(ACCURACIES.size, 0.97)])
    np.savez(
        folder / "a.npz",
        train_loss=np.tile(LOSSES, (2, 1)),
        train_loss_steps=STEPS,
        val_acc=accuracies,
        val_acc_steps=EVALUATED,
    )


# ---------------------------------------------------------------------- half-written


@case(Expected(note="breaks off", t4=None, steps=(0, 1, 2, 598)))
def last_value_cut_in_its_exponent(folder: Path) -> None:
    text = "".join(f"{i},{loss:.7e}\n" for i, loss in enumerate(LOSSES))
    (folder / "log.csv").write_text(("step,train_loss\n" + text)[:-5])


@case(Expected(note="breaks off", t4=None, steps=(0, 1, 2, 598)))
def last_value_cut_after_its_exponent_began(folder: Path) -> None:
    text = "".join(f"{i},{loss:.7e}\n" for i, loss in enumerate(LOSSES))
    (folder / "log.csv").write_text(("step,train_loss\n" + text)[:-4])


@case(Expected(t4=None))
def no_end_of_line_after_a_whole_value(folder: Path) -> None:
    text = "".join(f"{i},{loss:.7e}\n" for i, loss in enumerate(LOSSES))
    (folder / "log.csv").write_text(("step,train_loss\n" + text)[:-1])


@case(Expected(note="the header is repeated"))
def header_again_after_a_resume(folder: Path) -> None:
    found = rows()
    write_csv(folder / "log.csv", found[:450])
    text = (folder / "log.csv").read_text()
    write_csv(folder / "log.csv", found[400:])
    (folder / "log.csv").write_text(text + (folder / "log.csv").read_text())


# --------------------------------------------------------- several values of one step


@case(Expected(t4=400))
def the_later_of_two_evaluations_at_a_step(folder: Path) -> None:
    """An evaluation that was repeated after a resume: the first of the two had not generalised."""
    twice: list[dict[str, Any]] = []
    for row in rows():
        if row["val_acc"] != "":
            twice.append({"step": row["step"], "train_loss": "", "val_acc": 1 - row["val_acc"]})
        twice.append(row)
    write_csv(folder / "log.csv", twice)


@case(Expected(refused=r"which has 3; line 2 of .* has 2"))
def cells_that_moved_to_the_next_row(folder: Path) -> None:
    """As many cells as full rows would have."""
    text = "".join(f"{i},{loss}\n{i},0.5,{i},{loss}\n" for i, loss in enumerate(LOSSES.tolist()))
    (folder / "log.csv").write_text("step,val_acc,train_loss\n" + text)


# -------------------------------------------------------------- names of the metrics


def named(name: str) -> Callable[[Path], None]:
    return lambda folder: write_csv(folder / "log.csv", renamed(rows(), val_acc=name))


for spelled in (
    "val_acc/dataloader_idx_0",
    "val_MulticlassAccuracy",
    "metrics/val_acc",
    "val_top1",
    "valAccuracy",
    "metrics/accuracy_top1",
    "eval_accuracy",
):
    CASES[spelled] = (named(spelled), Columns(), Expected())
CASES["val_f1"] = (
    named("val_f1"),
    Columns(),
    Expected(t4=None, note="no validation metric is known among 'val_f1'.*--val-acc-column"),
)
CASES["val_f1 that is named"] = (named("val_f1"), Columns(val_acc="val_f1"), Expected())


# ----------------------------------------------------------------------------- the test


@pytest.mark.parametrize("name", CASES)
def test_a_log_is_read_as_what_it_is(name: str, tmp_path: Path) -> None:
    write, columns, expected = CASES[name]
    write(tmp_path)
    sweep = read_sweep(tmp_path, columns)
    reasons = [left.reason for left in sweep.left_out]
    if expected.refused:
        assert not sweep.runs
        assert len(reasons) == 1
        assert re.search(expected.refused, reasons[0]), reasons[0]
        return
    assert reasons == []
    assert len(sweep.runs) == expected.runs
    check(sweep.runs[0], expected)


def check(run: Run, expected: Expected) -> None:
    steps = run.loss.steps
    assert (*steps[:3].tolist(), int(steps[-1])) == expected.steps
    assert run.step_unit == expected.unit
    result = outcome(run)
    assert (None if result is None else result.t4) == expected.t4
    notes = "\n".join(run.notes)
    assert re.search(expected.note, notes) if expected.note else not notes, notes
    assert run.diverged == (expected.diverged_at is not None)
    finite = np.isfinite(run.loss.values)
    lost = [] if expected.diverged_at is None else list(range(expected.diverged_at, 600))
    assert run.loss.steps[~finite].tolist() == lost
    # Never another loss than that of the run, and never a mean of two.
    assert all(
        np.isclose(LOSSES, value, rtol=1e-7, atol=0).any() for value in run.loss.values[finite]
    )


# ------------------------------------------------------------------------ what docs say


def sentences(folder: Path) -> str:
    """All texts of the readers, with … for what is filled in."""
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_the_documented_refusals_are_those_that_are_given() -> None:
    package = Path(grokpredict.__file__).parent
    text = (package.parent / "docs" / "formats.md").read_text()
    table = text.split("**Refused**")[1].split("\n\n## ")[0]
    documented = [
        line.split(" | ")[1].removesuffix(" |") for line in table.splitlines() if "…" in line
    ]
    given = re.sub(r"[{}]", "", sentences(package / "logs") + sentences(package / "runs"))
    missing = [each for each in documented[1:] if each not in given]
    assert len(documented) > 15
    assert missing == []
