"""One of two processes of a DDP fit: runs every case and writes what it held at the end of each.

Usage: ddp_program.py CLASSIFIER FOLDER, with Lightning's LOCAL_RANK and so on in the environment.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import DOOMED, GOOD, QUIET, Follows, batches
from short_runs import BUDGET
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from grokpredict.live.lightning import GrokPredictor, stopping
from grokpredict.live.lightning.validation import Validation

warnings.simplefilter("ignore")
torch.set_num_threads(1)

RANK = int(os.environ["LOCAL_RANK"])
CLASSIFIER, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
STEPS = 290


class Differs(Follows):
    """Each process has another loss; their mean is the curve."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss_now() * (1 + (0.1 if RANK else -0.1))


def fit(
    case: str,
    module: pl.LightningModule,
    *callbacks: pl.Callback,
    data: Any = None,
    ckpt_path: Path | None = None,
    sweep: Path | None = None,
    **options: Any,
) -> GrokPredictor:
    predictor = GrokPredictor(CLASSIFIER, budget=BUDGET, ledger=sweep, name=case)
    options = {**QUIET, "max_steps": STEPS, **options}
    options.setdefault("strategy", pl.strategies.DDPStrategy(process_group_backend="gloo"))
    trainer = pl.Trainer(
        devices=2,
        callbacks=[predictor, *callbacks],
        default_root_dir=FOLDER,
        **options,
    )
    if data is None:
        data = batches(2 * BUDGET)
    trainer.fit(module, data, ckpt_path=ckpt_path, **(WEIGHTS_ONLY if ckpt_path else {}))
    assert predictor._watch is not None
    told = {
        "n_seen": predictor._watch.monitor.n_seen,
        "next_look": predictor._watch.monitor.next_look,
        "global_step": trainer.global_step,
        "stopped_step": predictor.stopped_step,
        "reason": predictor.stopping_reason.value,
        "message": predictor.stopping_reason_message,
        "verdicts": [verdict.to_dict() for verdict in predictor.verdicts],
    }
    (FOLDER / f"{case}-{RANK}.json").write_text(json.dumps(told))
    return predictor


def differing_losses() -> None:
    logger = pl.loggers.CSVLogger(FOLDER / "logs", version=0)
    fit("differing", Differs(GOOD), logger=logger)


def doomed() -> None:
    fit("doomed", Differs(DOOMED))


def in_a_ledger() -> None:
    """The second run is audited, by its name."""
    for case in ("run 22", "run 21"):
        fit(case, Differs(DOOMED), sweep=FOLDER / "sweep", max_steps=210)


def nan_on_one() -> None:
    class Breaks(Differs):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            broken = RANK == 1 and self.trainer.global_step >= 130
            return super().training_step(batch, batch_idx) * (float("nan") if broken else 1.0)

    fit("nan", Breaks(DOOMED))


def uneven_batches() -> None:
    """Five micro-batches an epoch, the last of another size in each process, windows of two."""
    data = batches(9 + RANK, batch_size=2)
    fit(
        "uneven", Differs(GOOD), data=data, accumulate_grad_batches=2, use_distributed_sampler=False
    )


def resumed() -> None:
    saving = pl.callbacks.ModelCheckpoint(
        FOLDER, filename="{step}", every_n_train_steps=190, save_top_k=-1
    )
    options = {"enable_checkpointing": True}
    fit("first", Differs(GOOD), saving, max_steps=191, **options)
    fit("resumed", Differs(GOOD), ckpt_path=FOLDER / "step=190.ckpt")


class Sharded(Differs):
    """Its weights are sharded over the processes, by FSDP2."""

    def __init__(self, losses: Any) -> None:
        super().__init__(losses)
        self.weight = None
        self.layer = torch.nn.Linear(8, 8)

    def configure_model(self) -> None:
        fully_shard(self.layer, mesh=self.device_mesh["data_parallel"])

    def loss_now(self, batch: Any = None) -> Tensor:
        return self.losses[self.trainer.global_step] + 0 * self.layer(torch.ones(2, 8)).sum()


def sharded() -> None:
    for case, losses in (("sharded", GOOD), ("sharded-doomed", DOOMED)):
        strategy = pl.strategies.ModelParallelStrategy(
            data_parallel_size=2, tensor_parallel_size=1, process_group_backend="gloo"
        )
        fit(case, Sharded(losses), strategy=strategy)


class FailsHere(pl.Callback):
    """A validation metric that cannot be read, in one process."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if rank_is(self.rank) and trainer.global_step == 5:
            trainer.callback_metrics["val_acc"] = "much"


def rank_is(rank: int) -> bool:
    return rank == RANK


def failure_on_second() -> None:
    fit("failure-second", Differs(DOOMED), FailsHere(1))
    # The process that fails at each look must not look when the other has done with it.
    fit("failure-second-good", Differs(GOOD), FailsHere(1), max_steps=300)


def failure_on_first() -> None:
    fit("failure-first", Differs(DOOMED), FailsHere(0))


class Generalised(Differs):
    """The second process alone believes that the run has generalised."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_acc", 0.99 if RANK else 0.1, sync_dist=False)

    def val_dataloader(self) -> Any:
        return batches(2)


def validation_differs() -> None:
    fit("validation", Generalised(DOOMED), val_check_interval=30)


class AsksAlone(pl.Callback):
    """Asks for the state in one process, where the others cannot take part."""

    def on_before_optimizer_step(self, trainer: pl.Trainer, *args: Any) -> None:
        if RANK == 0 and trainer.global_step == 20:
            predictor = next(own for own in trainer.callbacks if isinstance(own, GrokPredictor))
            state = predictor.state_dict()
            (FOLDER / "alone.json").write_text(json.dumps(state))


def asked_alone() -> None:
    fit("asked", Differs(GOOD), AsksAlone())


def fault_while_deciding() -> None:
    """One of ours, in one process: at the look, or while the stop waits for ``min_steps``."""
    for rank in (0, 1):
        for place in ("can_stop", "Validation.spared", "GrokPredictor._ending", "Stop.ending"):
            owner, _, name = place.rpartition(".")
            home = {
                "": stopping,
                "Validation": Validation,
                "GrokPredictor": GrokPredictor,
                "Stop": stopping.Stop,
            }[owner]
            sound = getattr(home, name)
            if rank_is(rank):
                setattr(home, name, broken)
            try:
                fit(
                    f"deciding-{rank}-{place}",
                    Differs(DOOMED),
                    min_steps=205,
                    min_epochs=0,
                    max_steps=210,
                )
            finally:
                setattr(home, name, sound)


def broken(*args: Any) -> Any:
    raise MemoryError("none left")


class Learns(pl.LightningModule):
    """A network whose weights depend on every batch and every random number."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x,) = batch
        return (self.layers(x + torch.randn_like(x)) - 1).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", 0.5, sync_dist=True)
        self.log("val_acc", 0.1, sync_dist=True)

    def val_dataloader(self) -> Any:
        return batches(2)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def same_weights() -> None:
    """A fit with the callback and one without: the weights of both."""
    weights: dict[str, Any] = {}
    for case in ("with", "without"):
        module = Learns()
        torch.manual_seed(1 + RANK)
        callbacks = [GrokPredictor(CLASSIFIER, budget=BUDGET, action="warn")]
        trainer = pl.Trainer(
            devices=2,
            callbacks=callbacks if case == "with" else [],
            strategy=pl.strategies.DDPStrategy(process_group_backend="gloo"),
            max_steps=210,
            val_check_interval=30,
            **QUIET,
        )
        trainer.fit(module, batches(2 * BUDGET))
        if case == "with":
            weights["looks"] = [own.horizon for own in callbacks[0].verdicts]
        state = module.state_dict().values()
        weights[case] = [value.tolist() for value in state] + [torch.get_rng_state().tolist()]
    (FOLDER / f"weights-{RANK}.json").write_text(json.dumps(weights))


if __name__ == "__main__":
    differing_losses()
    doomed()
    in_a_ledger()
    nan_on_one()
    uneven_batches()
    resumed()
    sharded()
    failure_on_second()
    failure_on_first()
    validation_differs()
    asked_alone()
    fault_while_deciding()
    same_weights()
    torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. gloo's threads sometimes outlive the interpreter and abort it (exit -6).
    os._exit(0)
