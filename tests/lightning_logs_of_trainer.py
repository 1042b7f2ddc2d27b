"""Logs as Lightning's own Trainer and CSVLogger write them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger


class Small(pl.LightningModule):
    def __init__(self, lr: float, max_steps: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch[0]).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val_acc", 0.5)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def trained(
    folder: Path, *, steps: int, log_every: int, evaluate_every: int, resume_to: int | None = None
) -> Path:
    """Train and return the folder that the logger made; a resumed run makes a second one."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = torch.utils.data.TensorDataset(torch.randn(16, 2))
    loaders = [torch.utils.data.DataLoader(data, batch_size=4) for _ in range(2)]
    checkpoint = folder / "last.ckpt"

    def fit(until: int, resume: Path | None) -> Path:
        logger = CSVLogger(folder, name="logs")
        trainer = pl.Trainer(
            max_steps=until,
            log_every_n_steps=log_every,
            val_check_interval=evaluate_every,
            check_val_every_n_epoch=None,
            logger=logger,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(Small(0.05, steps), *loaders, ckpt_path=resume)
        trainer.save_checkpoint(checkpoint)
        return Path(logger.log_dir)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = fit(steps, None)
        if resume_to is not None:
            fit(resume_to, checkpoint)
    return first
