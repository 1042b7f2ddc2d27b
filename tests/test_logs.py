"""Reading CSV, JSON Lines and configuration files."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from grokpredict.logs import Columns, LogError, read_hparams, read_run
from grokpredict.runs.labels import LabelRule

ROWS = "0,1.0\n1,0.5\n2,0.25\n"


def run_of(path: Path, text: str, columns: Columns | None = None):
    path.write_text(text)
    return read_run(path, columns)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


@pytest.mark.parametrize(
    "header",
    [
        "step,train_loss",
        "global_step,train/loss",
        "Step,Loss",
        "iteration,train_loss_step",
        "trainer/global_step,training-loss",
        "step,Train Loss",
    ],
)
def test_names_of_the_loss_and_the_step(log: Path, header: str) -> None:
    run = run_of(log, f"{header}\n{ROWS}")
    np.testing.assert_array_equal(run.loss.steps, [0, 1, 2])
    np.testing.assert_array_equal(run.loss.values, [1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    "name", ["val_acc", "val/acc", "test_acc", "val_accuracy", "eval/accuracy", "Validation Acc"]
)
def test_names_of_the_validation_accuracy(log: Path, name: str) -> None:
    run = run_of(log, f"step,loss,{name}\n0,1,0.1\n1,1,0.2\n")
    np.testing.assert_array_equal(run.channels["val_acc"].values, [0.1, 0.2])


def test_a_loss_of_every_step_goes_before_the_mean_of_an_epoch(log: Path) -> None:
    run = run_of(log, "step,train_loss,train_loss_step,test_acc,val_acc\n0,9,1,7,0\n1,9,2,7,1")
    np.testing.assert_array_equal(run.loss.values, [1, 2])
    np.testing.assert_array_equal(run.channels["val_acc"].values, [0, 1])


def test_given_columns_are_taken_and_not_taken_twice(log: Path) -> None:
    text = "step,n,loss,objective,acc\n0,5,9,1,0.1\n1,10,9,2,0.2\n2,15,9,3,0.3\n"
    run = run_of(log, text, Columns(loss="objective", step="n", val_acc="acc"))
    np.testing.assert_array_equal(run.loss.steps, [5, 10, 15])
    np.testing.assert_array_equal(run.loss.values, [1, 2, 3])
    np.testing.assert_array_equal(run.channels["val_acc"].values, [0.1, 0.2, 0.3])
    assert "train_acc" not in run.channels
    with pytest.raises(LogError, match=r"no column 'foo'.*'objective'"):
        run_of(log, text, Columns(loss="foo"))


def test_without_a_step_column_rows_are_counted(log: Path, tmp_path: Path) -> None:
    assert list(run_of(log, "loss\n3\n2\n1\n").loss.steps) == [0, 1, 2]
    assert list(run_of(log, "3\n2\n1\n").loss.values) == [3, 2, 1]  # numpy.savetxt
    lines = '{"loss": 3}\n{"loss": 2}\n'
    assert list(run_of(tmp_path / "a.jsonl", lines).loss.steps) == [0, 1]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(log: Path, delimiter: str) -> None:
    text = f"step,loss\n{ROWS}".replace(",", delimiter)
    np.testing.assert_array_equal(run_of(log, text).loss.values, [1.0, 0.5, 0.25])


def test_strides_and_a_first_step_of_one_are_kept(log: Path) -> None:
    for steps in ([0, 5, 10], [49, 99, 149], [50, 100, 150], [1, 2, 3]):
        rows = "".join(f"{step},1\n" for step in steps)
        assert list(run_of(log, "step,loss\n" + rows).loss.steps) == steps


def test_sparse_rows_with_one_step_are_merged(log: Path) -> None:
    run = run_of(
        log, "step,loss,val_acc,val_loss\n0,3,,\n1,2,,\n1,,0.5,7\n2,1,,\n3,0,,\n3,,0.75,8\n"
    )
    assert list(run.loss.steps) == [0, 1, 2, 3]
    assert list(run.channels["val_acc"].steps) == [1, 3]
    assert list(run.channels["val_loss"].values) == [7, 8]


def test_losses_of_the_micro_batches_of_a_step_are_averaged(log: Path) -> None:
    run = run_of(log, "step,loss,val_acc\n0,4,0.1\n0,2,0.2\n1,1,0.3\n")
    assert list(run.loss.values) == [3, 1]
    assert list(run.channels["val_acc"].values) == [0.2, 0.3]


def test_percent_becomes_a_share(log: Path) -> None:
    run = run_of(log, "step,loss,val_acc,val_loss\n0,1,1.0,300\n1,1,97.5,400\n")
    assert list(run.channels["val_acc"].values) == [0.01, 0.975]
    assert list(run.channels["val_loss"].values) == [300, 400]


@pytest.mark.parametrize("val_acc", [0.97, 1.03])
def test_one_accuracy_in_percent_tells_it_of_the_others(log: Path, val_acc: float) -> None:
    """Guessing among 97 classes is right in 1 % of the cases, and that is not all of them."""
    run = run_of(log, f"step,loss,val_acc,train_acc\n0,1,{val_acc},1.5\n1,1,{val_acc},100\n")
    assert not LabelRule().met(run.channels["val_acc"].values).any()
    np.testing.assert_allclose(run.channels["val_acc"].values, val_acc / 100)
    np.testing.assert_allclose(run.channels["train_acc"].values, [0.015, 1])


@pytest.mark.parametrize(("highest", "share"), [(1.03, 0.0103), (1.0000001, 1.0000001)])
def test_a_rounded_one_is_no_percentage(log: Path, highest: float, share: float) -> None:
    run = run_of(log, f"step,loss,val_acc\n0,1,0.5\n1,1,{highest}\n")
    assert run.channels["val_acc"].values[1] == pytest.approx(share, rel=1e-9)


def test_nan_is_a_loss_and_an_empty_cell_is_none(log: Path) -> None:
    run = run_of(log, "step,loss\n0,1\n1,\n2,nan\n3,inf\n")
    assert list(run.loss.steps) == [0, 2, 3]
    assert run.diverged


def test_constant_columns_are_hyperparameters(log: Path) -> None:
    run = run_of(
        log, "step,loss,lr,optimizer,epoch,mark,void\n0,1,1e-3,AdamW,0,,\n1,1,1e-3,AdamW,0,x,\n"
    )
    assert run.hparams == {"lr": 1e-3, "optimizer": "AdamW"}
    assert run.configuration.optimizer == "adamw"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("step,loss\n", "only a header"),
        ("step,loss\n0,1\n", "at least two recorded losses"),
        ("step,loss\n0,1\n1,oops\n2,1\n", "must hold numbers, line 3 of .* has 'oops'"),
        ("step,loss\n0,1\n\n\nx,1\n", "column 'step' must hold numbers, line 5"),
        ("step,loss\n0,1\n1.5,1\n", "whole number from 0 up, line 3 of .* has 1.5"),
        ("step,loss\n-1,1\n1,1\n", "whole number from 0 up, line 2 of .* has -1"),
        ("step,loss\n0,1\nnan,1\n", "whole number from 0 up, line 3"),
        ("step,loss\n0,1\n,1\n", "must have a step, line 3"),
        ("step,loss\n0,1\n5,1\n3,1\n", "must not go back, line 4 .* from step 5 to 3"),
        ("step,loss\n700,1\n701,1\n", "from its start, .* step 700; was it resumed"),
        ("step,foo\n0,1\n", "column with the training loss, .*'step', 'foo'.*--loss-column"),
        ("step,loss\n0,1,2\n1,1\n", "line 2 of .* has 3"),
        ("0,1\n1,2\n", "must have a header"),
        ("step,loss\n0,\n1,\n", "the column of .* is empty"),
        ("a\0b", "must be text"),
    ],
)
def test_every_fault_has_its_own_sentence(log: Path, text: str, rule: str) -> None:
    with pytest.raises(LogError, match=rule):
        run_of(log, text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            '{"step": 0, "loss": 1}\n{"step": 1, "loss":\n{"step": 2, "loss": 1}\n',
            "line 2 .* not JSON",
        ),
        ('{"step": 0, "loss": 1}\n3\n', "line 2 of .* is 3"),
        ('{"lr": 0.1}\n{"step": 0, "loss": 1}\n{"step": 1, "loss": "x"}\n', "line 3 of .* has 'x'"),
        ('{"lr": 0.1}\n', "must have rows with the training loss"),
        ('{"val_acc": 0.1}\n{"val_acc": 0.1}\n', "column with the training loss"),
    ],
)
def test_faults_of_json_lines(tmp_path: Path, text: str, rule: str) -> None:
    with pytest.raises(LogError, match=rule):
        run_of(tmp_path / "a.jsonl", text)


def test_a_line_that_was_cut_off_is_dropped(log: Path, tmp_path: Path) -> None:
    assert len(run_of(log, f"step,loss\n{ROWS}3").loss) == 3
    rows = '{"step": 0, "loss": 1}\n{"step": 1, "loss": 1}\n{"step": 2, "lo'
    assert len(run_of(tmp_path / "a.jsonl", rows).loss) == 2


def test_json_lines_with_metadata(tmp_path: Path) -> None:
    meta = {"args": {"lr": 0.01, "weight_decay": 1.0, "max_steps": 4000}, "git": "abc"}
    rows = [{"step": s, "loss": 1.0 - s / 100, "test_acc": 50.0} for s in range(0, 50, 5)]
    text = "".join(json.dumps(each) + "\n" for each in [meta, *rows])
    (tmp_path / "a.yaml").write_text("lr: 7\nbatch_size: 32\n")
    run = run_of(tmp_path / "a.jsonl", text)
    assert run.configuration.batch_size == 32
    assert (run.configuration.learning_rate, run.configuration.weight_decay) == (0.01, 1.0)
    assert run.max_steps == 4000
    assert run.loss.stride == 5
    assert set(run.channels["val_acc"].values) == {0.5}


def test_null_is_nothing_and_rows_may_hold_different_keys(tmp_path: Path) -> None:
    rows = (
        '{"step":0,"loss":1}',
        '{"step":0,"val_acc":0.5}',
        '{"step":1,"loss":null}',
        '{"step":2,"loss":NaN}',
    )
    run = run_of(tmp_path / "a.jsonl", "\n".join(rows))
    assert list(run.loss.steps) == [0, 2]
    assert list(run.channels["val_acc"].steps) == [0]


def test_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(f"step,loss\n{ROWS}".encode())
    (tmp_path / "a.csv.gz").write_bytes(packed)
    assert len(read_run(tmp_path / "a.csv.gz").loss) == 3
    (tmp_path / "a.csv.gz").write_bytes(packed[:-12])
    with pytest.raises(LogError, match="not a whole gzip file"):
        read_run(tmp_path / "a.csv.gz")


@pytest.mark.parametrize("text", [f"step,loss\n{ROWS}", '{"loss": 1}\n{"loss": 2}\n'])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    run = read_run("-")
    assert run.name == "standard input"
    assert len(run.loss) > 1


def test_configuration_beside_the_log(tmp_path: Path) -> None:
    log = tmp_path / "a.csv"
    (tmp_path / "config.json").write_text('{"lr": 1, "seed": 3}')
    assert (
        run_of(log, f"step,loss,lr\n{ROWS}".replace("\n", ",7\n").replace("lr,7", "lr")).hparams[
            "lr"
        ]
        == 1
    )
    (tmp_path / "a.yaml").write_text("lr: 2\nmax_steps: 1e4\n")
    run = read_run(log)
    assert (run.hparams["lr"], run.max_steps) == (2, 10_000)
    run = read_run(log, Columns(hparams={"lr": 5, "max_steps": 7}))
    assert (run.configuration.learning_rate, run.max_steps) == (5, 7)


def test_yaml_tags_neither_execute_nor_lose_the_run(tmp_path: Path) -> None:
    path = tmp_path / "hparams.yaml"
    path.write_text(
        f"""
lr: 0.001
evil: !!python/object/apply:os.system ["touch {tmp_path}/pwned"]
kind: !!python/name:torch.optim.adamw.AdamW ''
mode: !!python/object/apply:my.Enum
- fast
betas: !!python/tuple
- 0.9
- 0.98
config: !!python/object:argparse.Namespace
  weight_decay: 0.5
other: !Custom {{a: 1}}
"""
    )
    told = read_hparams(path)
    assert not (tmp_path / "pwned").exists()
    assert (told["lr"], told["weight_decay"], told["mode"]) == (0.001, 0.5, "fast")
    assert told["kind"] == "torch.optim.adamw.AdamW"
    assert told["betas"] == [0.9, 0.98]
    assert told["a"] == 1


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("h.yaml", "a: [1\n", "must be YAML or JSON"),
        ("h.yaml", "- 1\n", "must be a mapping"),
        ("h.json", "{", "must be YAML or JSON"),
        ("h.yaml", None, "cannot be opened"),
    ],
)
def test_bad_configuration(tmp_path: Path, name: str, text: str | None, rule: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(LogError, match=rule):
        read_hparams(tmp_path / name)
