"""What the user sees: a line in Lightning's log, a number in the loggers, a file beside them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from grokpredict._util.atomic import replacing
from grokpredict.live.guard import described
from grokpredict.live.lightning.namespaces import logger_beside
from grokpredict.model.verdict import Verdict


class Report:
    """Tells what happens in one fit; a failure in here is logged if it can be, nothing more.

    Attributes
    ----------
    message : str or None
        The latest sentence of :meth:`say`.
    """

    def __init__(self) -> None:
        self.message: str | None = None
        self._log = logging.getLogger(__name__)
        self._label = "grokpredict"
        self._directory: Path | None = None
        self._first = True

    def begin(self, trainer: Any, number: int) -> None:
        """Find out where to tell things; of several callbacks this one is the ``number``-th."""
        self._log = logger_beside(trainer)
        self._label = "grokpredict" if number == 1 else f"grokpredict-{number}"
        self._first = bool(trainer.is_global_zero)
        try:
            # Not ``trainer.log_dir``, a broadcast in which the other processes would wait.
            logger = trainer.loggers[0] if trainer.loggers and self._first else None
            directory = logger and (getattr(logger, "log_dir", None) or logger.save_dir)
            if directory and "://" not in str(directory):
                self._directory = Path(directory)
        except Exception as error:  # the user's logger
            self.note(f"a logger failed: {described(error)}")

    def say(self, message: str, level: int) -> None:
        """Log a sentence once, whatever the number of processes, and keep it."""
        self.message = message
        if self._first:
            self._emit(level, message)

    def note(
        self, message: str, level: int = logging.WARNING, *, every_process: bool = True
    ) -> None:
        """Log something on the side, which may concern this process only."""
        if every_process or self._first:
            self._emit(level, message)

    def trace(self, message: str, error: Exception) -> None:
        """Keep a traceback for who has the logger at level debug."""
        self._emit(logging.DEBUG, message, error)

    def _emit(self, level: int, message: str, error: Exception | None = None) -> None:
        # A handler or a filter of the user's may raise, and ``warnings`` would where they are
        # errors: what cannot be said is not.
        with suppress(Exception):
            self._log.log(level, "%s: %s", self._label, message, exc_info=error)

    def log_look(self, trainer: Any, verdict: Verdict) -> None:
        """Send a look to the trainer's loggers, at the step of the batch's own metrics."""
        if verdict.horizon is not None:
            self._log_metrics(trainer, verdict.metrics(self._label), verdict.horizon - 1)

    def log_outcome(self, trainer: Any, outcome: Mapping[str, float]) -> None:
        """Send how the fit ended to the trainer's loggers, at its last step."""
        metrics = {f"{self._label}/{name}": value for name, value in outcome.items()}
        self._log_metrics(trainer, metrics, trainer.global_step - 1)

    def _log_metrics(self, trainer: Any, metrics: dict[str, float], step: int) -> None:
        """Send numbers to the trainer's loggers.

        Not through ``self.log``, which repeats a value until the epoch ends and fills the
        progress bar's tables.
        """
        if not self._first:
            return
        for logger in trainer.loggers:
            try:
                logger.log_metrics(metrics, step=step)
            except Exception as error:  # a logger may be offline; the verdict holds
                self.note(f"a logger failed: {described(error)}")

    def write(self, record: Mapping[str, Any]) -> None:
        """Keep what was decided beside the run's logs, as JSON."""
        if self._directory is None:
            return
        path = self._directory / f"{self._label}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write((json.dumps(record, indent=2) + "\n").encode())
        except Exception as error:  # in one process only, and the others go on to the next look
            self.note(f"could not write {path}: {described(error)}")
