"""What is peculiar to one format: resumed, broken and nested logs of the real libraries."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import loggers
import numpy as np
import pytest
import torch
from loggers import a_run

from grokpredict.logs import LogError, read_hparams, read_run, read_sweep
from grokpredict.logs.hparams import unnested
from grokpredict.logs.trainer_state import AVERAGED, ROUNDED

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::PendingDeprecationWarning"
)


@pytest.fixture(autouse=True)
def quiet_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "true")


# ----------------------------------------------------------------------------- TensorBoard


def scalars(folder: Path, steps: range, value: float = 0.5, *, new: bool = False) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder, filename_suffix=f".{value}") as writer:
        for step in steps:
            writer.add_scalar("Loss/train", value, step, new_style=new)
            if step % 1000 == 0:
                writer.add_scalar("learning_rate", 0.25, step)
    return folder


def test_tensorboard_reads_every_event_and_not_ten_thousand(tmp_path: Path) -> None:
    run = read_run(scalars(tmp_path, range(10_500)))
    np.testing.assert_array_equal(run.loss.steps, np.arange(10_500))
    assert run.configuration.learning_rate == 0.25


def test_tensorboard_reads_what_tensorflow_2_and_jax_write(tmp_path: Path) -> None:
    assert len(read_run(scalars(tmp_path, range(9), new=True)).loss) == 9


@pytest.mark.parametrize(("again", "kept"), [(range(60, 90), 60), (range(0, 90), 0)])
def test_tensorboard_goes_on_where_a_run_was_resumed(
    tmp_path: Path, again: range, kept: int
) -> None:
    """What was logged after the checkpoint and before the crash does not count."""
    scalars(tmp_path, range(100), 0.25)
    scalars(tmp_path, again, 0.5)
    run = read_run(tmp_path)
    np.testing.assert_array_equal(run.loss.steps, np.arange(90))
    assert list(run.loss.values) == [0.25] * kept + [0.5] * (90 - kept)


def test_tensorboard_folders_in_a_run_are_runs_and_its_other_logs_are_not(tmp_path: Path) -> None:
    loggers.summary_writer(a_run(), tmp_path)  # with a session folder that holds no loss
    scalars(tmp_path / "summary" / "second", range(9))
    (tmp_path / "summary" / "progress.csv").write_text("step,loss\n0,1\n1,1\n")
    sweep = read_sweep([tmp_path])
    names = [Path(run.name).relative_to(tmp_path).as_posix() for run in sweep.runs]
    assert names == ["summary", "summary/second"]
    assert not sweep.left_out


def test_two_loggers_in_one_folder_are_one_run(tmp_path: Path) -> None:
    folder = loggers.lightning_csv(a_run(), tmp_path)
    scalars(folder, range(9))
    assert [len(run.loss) for run in read_sweep([tmp_path]).runs] == [120]


def test_tensorboard_files_may_break_off_but_not_be_damaged(tmp_path: Path) -> None:
    (file,) = scalars(tmp_path, range(50)).iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-200])
    assert 40 < len(read_run(file).loss) < 50
    file.write_bytes(whole[: len(whole) // 2])
    assert 20 < len(read_run(tmp_path).loss) < 30
    file.write_bytes(b"")
    with pytest.raises(LogError, match="must have scalars"):
        read_run(tmp_path)


# ------------------------------------------------------------------------------------- W&B


def test_wandb_files_may_break_off_but_not_be_damaged(tmp_path: Path) -> None:
    (file,) = loggers.wandb_offline(a_run(), tmp_path).glob("offline-run-*/*.wandb")
    whole = file.read_bytes()
    assert len(whole) > 2**15  # more than one block
    for size in (len(whole) // 2, 2**15 + 3):
        file.write_bytes(whole[:size])
        assert 10 < len(read_run(file).loss) < 120
    file.write_bytes(whole[:20_000] + b"\0" * 40 + whole[20_040:])
    with pytest.raises(LogError, match=r"damaged at byte \d+"):
        read_run(file)
    file.write_bytes(b"not W&B's")
    with pytest.raises(LogError, match="must begin with :W&B"):
        read_run(file)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("_step,loss\n0,1\n1,1\n", [0, 1]),
        ("_step,loss,step\n0,1,4\n1,1,9\n", [4, 9]),
        ("_step,loss,trainer/global_step\n0,1,4\n1,1,9\n", [4, 9]),
        ("_step,train/loss,train/global_step\n0,1,5\n1,1,10\n", [5, 10]),
    ],
)
def test_calls_of_wandb_log_count_steps_only_where_nothing_else_does(
    tmp_path: Path, text: str, steps: list[int]
) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert list(read_run(tmp_path / "a.csv").loss.steps) == steps


def test_the_export_of_a_chart_is_sampled_and_refused(tmp_path: Path) -> None:
    path = tmp_path / "wandb_export_2026-01-01.csv"
    path.write_text('"Step","a - loss","a - loss__MIN","a - loss__MAX"\n0,1,1,1\n7,1,1,1\n')
    with pytest.raises(LogError, match="sampled; export the run's history"):
        read_run(path)


def test_config_yaml_of_wandb(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("wandb_version: 1\n_wandb:\n  value: {x: 1}\nlr:\n  desc: null\n  value: 0.5\n")
    assert read_hparams(path) == {"lr": 0.5}


# ---------------------------------------------------------------------------- Hugging Face


def hugging_face(folder: Path, **options: object) -> Path:
    """Train by the real Trainer: 23 steps with a checkpoint after 10 and 20."""
    from transformers import Trainer, TrainingArguments

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": self.layer(x).square().mean()}

    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = [{"x": torch.randn(2)} for _ in range(16)]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=23,
        learning_rate=0.125,
        weight_decay=0.5,
        per_device_train_batch_size=4,
        use_cpu=True,
        report_to=["tensorboard"],
        save_steps=10,
        disable_tqdm=True,
        **options,
    )
    trainer = Trainer(Small(), arguments, train_dataset=data)
    trainer.train()
    return folder


def test_a_hugging_face_run_is_its_last_checkpoint(tmp_path: Path) -> None:
    """Not one run for each checkpoint, nor one more for the events beside them."""
    folder = hugging_face(tmp_path / "out", logging_steps=1)
    sweep = read_sweep([tmp_path])
    (run,) = sweep.runs
    assert run.name == str(folder)
    np.testing.assert_array_equal(run.loss.steps, np.arange(1, 24))
    assert set(run.channels) == {"train_loss", "grad_norm"}
    assert (run.configuration.learning_rate, run.configuration.batch_size) == (0.125, 4)
    assert run.max_steps == 23
    assert not sweep.findings.remarks
    assert len(read_run(folder / "checkpoint-10" / "trainer_state.json").loss) == 10


def test_means_over_steps_are_pointed_out(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path, logging_steps=5, logging_first_step=True)
    sweep = read_sweep([folder])
    np.testing.assert_array_equal(sweep.runs[0].loss.steps, [1, 5, 10, 15, 20])
    assert sweep.findings.remarks == {AVERAGED: (1, str(folder))}


def test_rounded_losses_are_pointed_out_once_with_their_number(tmp_path: Path) -> None:
    run = a_run()
    for name in "ab":
        (tmp_path / name).mkdir()
        loggers.trainer_state(replace(run, losses=run.losses.round(4)), tmp_path / name)
    remarks = read_sweep([tmp_path]).findings.remarks
    assert remarks == {ROUNDED: (2, str(tmp_path / "a" / "hf"))}


@pytest.mark.parametrize("text", ["{}", "[]", '{"log_history": 3}', '{"log_history": [3]}', "{"])
def test_what_is_no_trainer_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "trainer_state.json").write_text(text)
    with pytest.raises(LogError, match="log_history"):
        read_run(tmp_path)


# ---------------------------------------------------------------------------------- MLflow


def test_mlflow_runs_that_were_deleted_are_none(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "mlruns").as_uri()
    gone, kept = loggers.mlflow_into(uri, a_run()), loggers.mlflow_into(uri, a_run())
    MlflowClient(uri).delete_run(gone)
    assert [Path(run.name).name for run in read_sweep([tmp_path]).runs] == [kept]


def test_mlflow_database(tmp_path: Path) -> None:
    """The same numbers as MLflow's client gives; what it deleted or cannot be used stays out."""
    from mlflow.tracking import MlflowClient

    run = a_run()
    losses = np.where(np.arange(120) == 118, -np.inf, run.losses)
    losses[119] = np.nan
    file = tmp_path / "mlflow.db"
    uri = loggers.new_database(tmp_path)
    kept = loggers.mlflow_into(uri, replace(run, losses=losses))
    gone = loggers.mlflow_into(uri, run)
    late = MlflowClient(uri).create_run("0").info.run_id
    for step in (700, 701):
        MlflowClient(uri).log_metric(late, "train/loss", 1.0, step=step)
    MlflowClient(uri).delete_run(gone)
    before = file.read_bytes()
    sweep = read_sweep([tmp_path])
    assert [found.name for found in sweep.runs] == [f"{file}[{kept}]"]
    np.testing.assert_array_equal(sweep.runs[0].loss.values, losses)
    history = MlflowClient(uri).get_metric_history(kept, "val_acc")
    assert [each.value for each in history] == list(sweep.runs[0].channels["val_acc"].values)
    assert [each.path for each in sweep.left_out] == [f"{file}[{late}]"]
    assert "from its start" in sweep.left_out[0].reason
    assert file.read_bytes() == before


def test_databases_of_others_are_no_logs(tmp_path: Path) -> None:
    """Optuna keeps its study beside the logs of its trials."""
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("CREATE TABLE trials (number INTEGER)")
    database.close()
    (tmp_path / "empty.sqlite").write_bytes(b"")
    (tmp_path / "text.db").write_text("nothing of the kind")
    with pytest.raises(LogError, match="No logs under"):
        read_sweep([tmp_path])


# ----------------------------------------------------------------------------------- Hydra

JOB = """
import hydra
from pathlib import Path

@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    import os
    from hydra.core.hydra_config import HydraConfig
    folder = Path(HydraConfig.get().runtime.output_dir, "logs", "version_0")
    folder.mkdir(parents=True)
    rows = "".join(f"{step},{1 / (step + 1)}\\n" for step in range(9))
    (folder / "metrics.csv").write_text("step,train_loss\\n" + rows)

from hydra.core.config_store import ConfigStore
ConfigStore.instance().store("config", node={
    "seed": 0,
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.1, "weight_decay": 0.0},
    "model": {"name": "mlp", "width": 8},
    "data": {"name": "add"},
    "trainer": {"max_steps": 500},
})
main()
"""


def test_a_multirun_of_hydra(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    command = [sys.executable, "job.py", "--multirun", "optimizer.lr=0.1,0.5", "seed=1,2"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    sweep = read_sweep([tmp_path / "multirun"])
    assert not sweep.left_out
    told = [(run.configuration.learning_rate, run.hparams["seed"]) for run in sweep.runs]
    assert told == [(0.1, 1), (0.1, 2), (0.5, 1), (0.5, 2)]
    assert sweep.runs[0].configuration.optimizer == "adamw"
    assert sweep.runs[0].max_steps == 500
    assert sweep.runs[0].hparams["model.name"] == "mlp"
    assert len({run.configuration_key for run in sweep.runs}) == 2


def test_what_the_logger_tells_goes_before_hydra(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("lr: 1\nwidth: 8\n")
    folder = loggers.lightning_csv(a_run(), tmp_path)
    hparams = read_run(folder).hparams
    assert (hparams["lr"], hparams["width"]) == (0.003, 8)


def test_sections_of_a_configuration() -> None:
    told = {
        "seed_everything": 1,
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.1}},
        "lr_scheduler": {"class_path": "StepLR", "init_args": {"lr": 7}},
        "trainer": {"max_steps": 9},
        "trainer/devices": 1,
    }
    assert unnested(told) == {
        "seed_everything": 1,
        "optimizer": "torch.optim.AdamW",
        "lr": 0.1,
        "lr_scheduler.class_path": "StepLR",
        "lr_scheduler.init_args.lr": 7,
        "max_steps": 9,
        "devices": 1,
    }
    clash = {"lr": 1, "optimizer": {"lr": 2}, "args": {"batch_size": 3}}
    assert unnested(clash) == {"lr": 1, "optimizer.lr": 2, "batch_size": 3}


# -------------------------------------------------------------------- what is not installed


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("tensorboard", "events.out.tfevents.1.host", "tensorboard"),
        ("wandb", "run-a.wandb", "wandb"),
        ("pyarrow", "history.parquet", "parquet"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, extra: str
) -> None:
    for loaded in [each for each in sys.modules if each.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"")
    (tmp_path / "good.csv").write_text("step,loss\n0,1\n1,1\n")
    sweep = read_sweep([tmp_path])
    assert len(sweep) == 1
    assert len(sweep.left_out) == 1
    assert f'pip install "grokpredict[{extra}]"' in sweep.left_out[0].reason


def test_findings_of_a_sweep(tmp_path: Path) -> None:
    for i, header in enumerate(("step,loss", "global_step,loss,test_acc", "step,foo")):
        rows = "".join(f"{step}{',1' * header.count(',')}\n" for step in range(3))
        (tmp_path / f"{i}.csv").write_text(f"{header}\n{rows}")
    (tmp_path / "a.jsonl").write_text(json.dumps({"loss": 1}) + "\n" + json.dumps({"loss": 2}))
    findings = read_sweep([tmp_path]).findings
    assert findings.formats == {"CSV": 2, "JSON Lines": 1}
    assert findings.columns == {
        ("step", "step"): 1,
        ("step", "global_step"): 1,
        ("train_loss", "loss"): 3,
        ("val_acc", "test_acc"): 1,
    }
