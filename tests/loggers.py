"""The same run, written by every logger that grokpredict reads, with the real library."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

HPARAMS = {"optimizer": "adamw", "lr": 0.003, "weight_decay": 0.1, "max_steps": 130}


@dataclass(frozen=True)
class Logged:
    """What a training loop knows; every tenth step is followed by an evaluation."""

    losses: np.ndarray
    val_acc: np.ndarray
    hparams: Mapping[str, Any]

    def rows(self) -> list[tuple[int, dict[str, float]]]:
        found = []
        for step, loss in enumerate(self.losses.tolist()):
            found.append((step, {"train_loss": loss}))
            if step % 10 == 9:
                found.append((step, {"val_acc": float(self.val_acc[step // 10])}))
        return found


def a_run(steps: int = 120, hparams: Mapping[str, Any] = HPARAMS, *, floor: float = 0.0) -> Logged:
    """A run that was computed in float32, as trainings are, whose loss falls to ``floor``."""
    at = np.arange(steps)
    losses = (np.exp(-at / 30) + floor) * (1 + 0.1 * np.sin(at))
    return Logged(losses.astype(np.float32).astype(float), np.full(steps // 10, 0.125), hparams)


def lightning_csv(run: Logged, folder: Path) -> Path:
    logger = CSVLogger(folder, name="csv", flush_logs_every_n_steps=10_000)
    _lightning(logger, run)
    return Path(logger.log_dir)


def lightning_tensorboard(run: Logged, folder: Path) -> Path:
    logger = TensorBoardLogger(folder, name="tensorboard")
    _lightning(logger, run)
    return Path(logger.log_dir)


def _lightning(logger: CSVLogger | TensorBoardLogger, run: Logged) -> None:
    logger.log_hyperparams(dict(run.hparams))
    for step, metrics in run.rows():
        logger.log_metrics({**metrics, "epoch": 0.0}, step)
    logger.save()
    logger.finalize("success")


def summary_writer(run: Logged, folder: Path) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder / "summary") as writer:
        for step, metrics in run.rows():
            for name, value in metrics.items():
                writer.add_scalar(name.replace("_", "/"), value, step)
        writer.add_hparams(dict(run.hparams), {"hparam/best": 0.5})
    return folder / "summary"


def wandb_offline(run: Logged, folder: Path) -> Path:
    import wandb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = wandb.Settings(silent=True, x_disable_stats=True, console="off")
        with wandb.init(
            mode="offline", project="p", dir=folder, config=dict(run.hparams), settings=settings
        ) as own:
            for step, metrics in run.rows():
                own.log({**metrics, "trainer/global_step": step})
        wandb.teardown()  # waits for the process that writes the last block
    return folder / "wandb"


def wandb_csv(run: Logged, folder: Path) -> Path:
    """What ``DataFrame(run.scan_history()).to_csv()`` writes, with the configuration beside it."""
    lines = [",_step,_runtime,_timestamp,train_loss,trainer/global_step,val_acc"]
    for number, (step, metrics) in enumerate(run.rows()):
        loss, acc = (metrics.get(name, "") for name in ("train_loss", "val_acc"))
        lines.append(f"{number},{number},{number / 10},{1e9 + number},{loss},{step},{acc}")
    path = folder / "wandb.csv"
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".json").write_text(json.dumps(run.hparams))
    return path


def wandb_parquet(run: Logged, folder: Path) -> Path:
    """The columns of W&B's history exports, which the server makes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"_step": number, "_runtime": number / 10, "trainer/global_step": step, **metrics}
        for number, (step, metrics) in enumerate(run.rows())
    ]
    names = ("_step", "_runtime", "trainer/global_step", "train_loss", "val_acc")
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    path = folder / "wandb.parquet"
    pq.write_table(table, path)
    path.with_suffix(".json").write_text(json.dumps(run.hparams))
    return path


def trainer_state(run: Logged, folder: Path) -> Path:
    from transformers.trainer_callback import TrainerState

    history: list[dict[str, float]] = []
    for step, metrics in run.rows():
        names = {"train_loss": "loss", "val_acc": "eval_accuracy"}
        told = {names[name]: value for name, value in metrics.items()}
        history.append({**told, "epoch": 0.5, "step": step + 1})
    history.append({"train_loss": 9.0, "train_runtime": 1.0, "step": len(run.losses)})
    state = TrainerState(log_history=history, max_steps=run.hparams["max_steps"])
    out = folder / "hf"
    out.mkdir()
    state.save_to_json(str(out / "trainer_state.json"))
    (out / "config.json").write_text(json.dumps(dict(run.hparams)))
    return out


def json_lines(run: Logged, folder: Path) -> Path:
    path = folder / "lines.jsonl.gz"
    rows = [{"step": step, **metrics} for step, metrics in run.rows()]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, [run.hparams, *rows])).encode()))
    return path


def csv_gz(run: Logged, folder: Path) -> Path:
    lines = ["step,train_loss,val_acc"]
    for step, metrics in run.rows():
        lines.append(f"{step},{metrics.get('train_loss', '')},{metrics.get('val_acc', '')}")
    path = folder / "plain.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    (folder / "plain.json").write_text(json.dumps(run.hparams))
    return path


def bundle(run: Logged, folder: Path) -> Path:
    path = folder / "bundle.npz"
    np.savez(
        path,
        train_loss=run.losses,
        val_acc=run.val_acc,
        val_acc_steps=np.arange(9, len(run.losses), 10),
        hparams=np.array([json.dumps(run.hparams)]),
    )
    return path


def mlflow_into(uri: str, run: Logged) -> str:
    """Write a run with MLflow's client; return its number."""
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    number = client.create_run("0").info.run_id
    params = [Param(key, str(value)) for key, value in run.hparams.items()]
    metrics = [
        Metric(name, value, 1_700_000_000_000 + step, step)
        for step, metrics in run.rows()
        for name, value in metrics.items()
    ]
    client.log_batch(number, params=params)
    for start in range(0, len(metrics), 1000):
        client.log_batch(number, metrics=metrics[start : start + 1000])
    client.set_terminated(number)
    return number


@functools.cache
def _empty_database() -> bytes:
    """The seventy tables, which MLflow makes by as many migrations, once for all tests."""
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mlflow.db")
        MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
        return file.read_bytes()


def new_database(folder: Path) -> str:
    (folder / "mlflow.db").write_bytes(_empty_database())
    return f"sqlite:///{folder / 'mlflow.db'}"


def mlflow_database(run: Logged, folder: Path) -> Path:
    mlflow_into(new_database(folder), run)
    return folder / "mlflow.db"


def mlflow_files(run: Logged, folder: Path) -> Path:
    """The file store, which MLflow 3 writes only where MLFLOW_ALLOW_FILE_STORE is set."""
    mlflow_into((folder / "mlruns").as_uri(), run)
    return folder / "mlruns"


WRITERS: tuple[Callable[[Logged, Path], Path], ...] = (
    bundle,
    csv_gz,
    json_lines,
    lightning_csv,
    lightning_tensorboard,
    summary_writer,
    trainer_state,
    wandb_csv,
    wandb_offline,
    wandb_parquet,
    mlflow_files,
    mlflow_database,
)
