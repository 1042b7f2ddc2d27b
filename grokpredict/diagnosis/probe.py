"""``TrajectoryProbe``: the recorder behind plain calls and behind Lightning's hooks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grokpredict.diagnosis.recorder import ON_DEVICE, Recorder
from grokpredict.diagnosis.snapshots import Snapshot
from grokpredict.diagnosis.trajectory import Trajectory, stacked
from grokpredict.live.guard import guarded

if TYPE_CHECKING:
    from pytorch_lightning import Callback as _Callback
else:
    try:
        from grokpredict.live.lightning.namespaces import callback_bases

        _Callback = type("_Callback", callback_bases(), {})
    except ModuleNotFoundError:  # plain loops need no Lightning
        _Callback = object

_log = logging.getLogger("grokpredict")


class TrajectoryProbe(_Callback):
    """Follows how a run moves through its parameters.

    As a Lightning callback it needs no more than its place in the list. In a plain loop, call
    :meth:`watch` once, :meth:`before_step` once the gradients are there, and :meth:`after_step`
    behind the optimiser.

    Parameters
    ----------
    every : int
        Optimiser steps between two records. A record reads all parameters and gradients once.
    snapshots : int
        Copies of the parameters to keep on the CPU for :func:`grokpredict.diagnose`: at
        least half as many as this, spread evenly over the run, and one at the end. Each takes
        three times the size of the network, four with Adam.

    Attributes
    ----------
    trajectory : Trajectory
        What was recorded in the latest fit.
    snapshots : list of Snapshot
        Oldest first.
    failure : str or None
        Why nothing is recorded any more.

    Notes
    -----
    Under Lightning the norms go to the trainer's loggers as ``weight_norm`` and ``grad_norm``, the
    names under which grokpredict reads them back, with the step before which they were measured.
    The gradient is that before clipping. One optimiser is followed, in one process of DDP;
    sharded parameters (FSDP) are not. A failure in here is logged once, and the training goes on.

    Examples
    --------
    >>> module = nn.Linear(2, 1, bias=False)
    >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    >>> probe = TrajectoryProbe(every=1).watch(module, optimizer)
    >>> for _ in range(3):
    ...     loss = (module.weight**2).sum() / 2
    ...     loss.backward()
    ...     probe.before_step(loss)
    ...     optimizer.step()
    ...     probe.after_step()
    ...     optimizer.zero_grad()
    >>> ratios = probe.trajectory.weight_norm[1:] / probe.trajectory.weight_norm[:-1]
    >>> ratios.round(6).tolist()
    [0.9, 0.9]
    """

    def __init__(self, every: int = 50, *, snapshots: int = 0) -> None:
        if _Callback is not object:
            super().__init__()
        if every < 1:
            raise ValueError(f"a record is made every 1 or more steps, got {every}")
        if snapshots < 0 or snapshots == 1:
            raise ValueError(f"snapshots must be 0, or 2 and more, got {snapshots}")
        self.every = every
        self.most_snapshots = snapshots
        self.failure: str | None = None
        self._recorder: Recorder | None = None
        self._restored: dict[str, Any] | None = None
        self._loss: Tensor | None = None
        self._stepping = False

    @property
    def trajectory(self) -> Trajectory:
        """What was recorded in the latest fit."""
        return stacked([]) if self._recorder is None else self._recorder.trajectory()

    @property
    def snapshots(self) -> list[Snapshot]:
        """Copies of the parameters, oldest first."""
        return [] if self._recorder is None else list(self._recorder.snapshots)

    # ---------------------------------------------------------------- plain loops

    def watch(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> TrajectoryProbe:
        """Begin with a network and its optimiser; returns the probe."""
        self._begin(module, optimizer)
        return self

    @guarded
    def before_step(self, loss: Any = None) -> None:
        """Call when the gradients are there; ``loss`` is that of the batch (optional)."""
        recorder = self._active()
        if recorder is not None:
            recorder.before_step(loss)

    @guarded
    def after_step(self) -> None:
        """Call when the optimiser has made its step."""
        recorder = self._active()
        if recorder is not None:
            recorder.after_step()

    @guarded
    def finish(self) -> None:
        """Keep a snapshot of the end, if snapshots are kept."""
        recorder = self._active()
        if recorder is not None and self.most_snapshots:
            recorder.take_snapshot()

    # ---------------------------------------------------------------- hooks of Lightning

    @guarded
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin, or say why not."""
        if trainer.fast_dev_run or not trainer.is_global_zero:
            self._recorder = None
            return
        if len(trainer.optimizers) != 1:
            raise ValueError(f"one optimiser is followed, the fit has {len(trainer.optimizers)}")
        self._begin(pl_module, trainer.optimizers[0], int(trainer.global_step))

    @guarded
    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """Add up the losses of micro-batches: Lightning has divided each by their number."""
        recorder = self._active()
        if recorder is not None and recorder.due:
            loss = loss.detach()
            self._loss = loss if self._loss is None else self._loss + loss

    @guarded
    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Record parameters and gradients, and tell the loggers."""
        recorder = self._active()
        if recorder is None:
            return
        loss, self._loss = self._loss, None
        step = recorder.step
        record = recorder.before_step(loss)
        self._stepping = True
        if record is not None and trainer.loggers:
            columns = dict(zip(ON_DEVICE, record.tolist(), strict=True))
            metrics = {name: columns[name] for name in ("weight_norm", "grad_norm")}
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=step)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the update."""
        if self._stepping:
            self._stepping = False
            self.after_step()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep a snapshot of the end."""
        self.finish()

    def state_dict(self) -> dict[str, Any]:
        """Return the records in plain Python objects; snapshots are not in a checkpoint."""
        # Empty after a failure: the user's checkpoint must be written all the same.
        state: dict[str, Any] = {}
        self._save_into(state)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the records for the fit that is about to start."""
        self._restored = dict(state_dict)

    @guarded
    def _save_into(self, state: dict[str, Any]) -> None:
        if self._recorder is not None:
            state.update(self._recorder.state_dict())

    @guarded
    def _begin(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int | None = None
    ) -> None:
        self.failure = None
        self._recorder = Recorder(module, optimizer, self.every, self.most_snapshots)
        state, self._restored = self._restored, None
        if state:
            self._recorder.load_state_dict(state)
        elif step:
            self._recorder.load_state_dict({"step": step, "clock": 0.0, "records": []})

    def _active(self) -> Recorder | None:
        return None if self.failure is not None else self._recorder

    def _fail(self, error: Exception) -> None:
        """Stop recording and say so once; through logging, since warnings can be errors."""
        self.failure = f"{type(error).__name__}: {error}"
        _log.warning("TrajectoryProbe records nothing more in this run: %s", self.failure)
