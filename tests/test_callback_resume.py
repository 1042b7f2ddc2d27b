"""A resumed run decides as the uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_namespace import WEIGHTS_ONLY, pl
from lightning_runs import DOOMED, GOOD, LIGHTNING_WARNINGS, QUIET, Follows, batches, fit, sees
from packaging.version import Version
from short_runs import BUDGET
from torch import Tensor

from grokpredict.live.lightning import GrokPredictor, StoppingReason
from grokpredict.model.classifier import GrokClassifier

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]
#: The data here are not what the loss depends on.
pytestmark.append(pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"))


class Interrupted(RuntimeError):
    pass


class BreaksAt(pl.Callback):
    """Ends the fit as a crash would, right after a batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batch:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "crash.ckpt")
            raise Interrupted


def resumed(
    classifier: GrokClassifier,
    module: pl.LightningModule,
    batch: int,
    folder: Path,
    **options: Any,
) -> tuple[GrokPredictor, pl.Trainer]:
    """Crash after ``batch`` batches, go on in a new trainer from the checkpoint."""
    with pytest.raises(Interrupted):
        fit(
            module,
            GrokPredictor(classifier),
            BreaksAt(batch),
            default_root_dir=folder,
            **options,
        )
    predictor = GrokPredictor(classifier)
    options = {**QUIET, "max_steps": BUDGET, **options}
    n = options.pop("n", BUDGET)
    trainer = pl.Trainer(callbacks=[predictor], **options)
    trainer.fit(module, batches(n), ckpt_path=folder / "crash.ckpt", **WEIGHTS_ONLY)
    return predictor, trainer


@pytest.mark.parametrize("step", [1, 20, 199, 200, 201, 202, 300])
def test_any_step_of_the_window(classifier: GrokClassifier, step: int, tmp_path: Path) -> None:
    whole = GrokPredictor(classifier)
    fit(Follows(GOOD), whole)
    predictor, trainer = resumed(classifier, Follows(GOOD), step, tmp_path)
    assert trainer.global_step == BUDGET
    assert predictor.verdicts == whole.verdicts
    assert sees(predictor, GOOD)


@pytest.mark.skipif(
    Version(pl.__version__) < Version("2.6"),
    reason="this Lightning trains once more on the batch after which the checkpoint was written",
)
@pytest.mark.parametrize("batch", [10, 802, 805])
def test_between_the_micro_batches_of_a_step(
    classifier: GrokClassifier, batch: int, tmp_path: Path
) -> None:
    class Uneven(Follows):
        """Micro-batches differ; that on which the run went on belongs to the same step."""

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            shift = 0.2 * (batch_idx % 4 - 1.5)
            return self.loss_now() * (1 + shift)

    options = {"accumulate_grad_batches": 4, "n": 4 * BUDGET}
    whole = GrokPredictor(classifier)
    fit(Uneven(GOOD), whole, **options)
    predictor, _ = resumed(classifier, Uneven(GOOD), batch, tmp_path, **options)
    assert predictor.verdicts == whole.verdicts
    assert sees(predictor, GOOD)


def test_a_doomed_run_is_stopped_after_the_resume(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    predictor, trainer = resumed(classifier, Follows(DOOMED), 25, tmp_path)
    assert trainer.global_step == predictor.stopped_step == 201


def test_a_stop_that_waits_survives(classifier: GrokClassifier, tmp_path: Path) -> None:
    predictor, trainer = resumed(classifier, Follows(DOOMED), 220, tmp_path, min_steps=240, n=60)
    assert trainer.global_step == predictor.stopped_step == 240
    assert [verdict.action for verdict in predictor.verdicts] == ["abort"]


def test_whoever_resumes_a_stopped_run_has_overruled_the_verdict(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = fit(Follows(DOOMED), GrokPredictor(classifier))
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    predictor = GrokPredictor(classifier)
    again = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    again.fit(Follows(DOOMED), batches(), ckpt_path=tmp_path / "stopped.ckpt", **WEIGHTS_ONLY)
    assert again.global_step == BUDGET
    # What is told of a fit is told of the latest, which was not stopped.
    assert predictor.stopping_reason is StoppingReason.NOT_STOPPED
    assert predictor.stopped_step is None
    said = "was stopped at step 201 before and now goes on unwatched"
    assert caplog.text.count(said) == 1
    assert predictor.summary().splitlines()[-1] == said
    assert "not trained" not in predictor.summary()


def test_an_overruled_run_that_is_resumed_again_stays_overruled(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    for name, steps in (("first", BUDGET), ("second", 210), ("third", 220)):
        predictor = GrokPredictor(classifier, budget=BUDGET)
        trainer = pl.Trainer(callbacks=[predictor], max_steps=steps, **QUIET)
        before = tmp_path / "last.ckpt"
        resume = {"ckpt_path": before, **WEIGHTS_ONLY} if before.exists() else {}
        trainer.fit(Follows(DOOMED), batches(), **resume)
        assert trainer.global_step == (201 if name == "first" else steps)
        trainer.save_checkpoint(before)
    assert predictor.stopped_step is None
    assert "was stopped at step 201 before and now goes on" in predictor.summary()


def test_a_run_too_short_for_a_look_that_is_made_longer(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(Follows(DOOMED), GrokPredictor(classifier), max_steps=30).save_checkpoint(
        tmp_path / "short.ckpt"
    )
    predictor = GrokPredictor(classifier)
    again = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    again.fit(Follows(DOOMED), batches(), ckpt_path=tmp_path / "short.ckpt", **WEIGHTS_ONLY)
    assert again.global_step == BUDGET
    said = "goes on from one whose losses were not kept, so nothing is looked at; of that one"
    assert said in predictor.summary()
    assert "the budget of this run is 30" in caplog.text


@pytest.mark.parametrize(("batch", "budget"), [(30, BUDGET), (220, 300)])
def test_the_budget_of_the_first_look_is_kept(
    classifier: GrokClassifier, batch: int, budget: int, tmp_path: Path
) -> None:
    """One number for all looks, though the resumed fit is planned to be longer."""
    folder = {"default_root_dir": tmp_path}
    with pytest.raises(Interrupted):
        fit(Follows(GOOD), GrokPredictor(classifier), BreaksAt(batch), max_steps=300, **folder)
    predictor = GrokPredictor(classifier)
    trainer = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    checkpoint = tmp_path / "crash.ckpt"
    trainer.fit(Follows(GOOD), batches(), ckpt_path=checkpoint, **WEIGHTS_ONLY)
    assert [own.budget for own in predictor.verdicts] == [budget, budget]


class StopsAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.step


@pytest.mark.filterwarnings("ignore:`max_epochs` was not set")
def test_a_known_budget_serves_a_resumed_fit_without_an_end(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        fit(Follows(GOOD), GrokPredictor(classifier), BreaksAt(220), default_root_dir=tmp_path)
    predictor = GrokPredictor(classifier)
    trainer = pl.Trainer(callbacks=[predictor, StopsAt(300)], max_epochs=-1, **QUIET)
    checkpoint = tmp_path / "crash.ckpt"
    trainer.fit(Follows(GOOD), batches(), ckpt_path=checkpoint, **WEIGHTS_ONLY)
    assert [own.horizon for own in predictor.verdicts] == [200, 282]


def test_a_callback_that_was_not_there_before(classifier: GrokClassifier, tmp_path: Path) -> None:
    trainer = fit(Follows(DOOMED), max_steps=30)
    trainer.save_checkpoint(tmp_path / "without.ckpt")
    predictor = GrokPredictor(classifier)
    again = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    again.fit(Follows(DOOMED), batches(), ckpt_path=tmp_path / "without.ckpt", **WEIGHTS_ONLY)
    assert again.global_step == BUDGET
    assert predictor.verdicts == []
    assert "must be watched from its start" in predictor.summary()


def test_the_state_is_plain_and_small(classifier: GrokClassifier, tmp_path: Path) -> None:
    saving = pl.callbacks.ModelCheckpoint(
        tmp_path, every_n_train_steps=70, save_top_k=-1, filename="{step}"
    )
    predictor = GrokPredictor(classifier)
    fit(Follows(GOOD), predictor, saving, enable_checkpointing=True)
    in_window, after = (
        torch.load(tmp_path / f"step={step}.ckpt", weights_only=True)["callbacks"][
            predictor.state_key
        ]
        for step in (70, 140)
    )
    assert sum(in_window["monitor"]["recording"]["sums"]["train_loss"]["count"]) == 70 - 3
    assert sum(after["monitor"]["recording"]["sums"]["train_loss"]["count"]) == 140 - 3
    assert len(json.dumps(after)) < 20_000


PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from lightning_namespace import pl
from lightning_runs import GOOD, QUIET, Follows, batches
from short_runs import BUDGET
from grokpredict.live.lightning import GrokPredictor

class Dies(pl.Callback):
    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == {step}:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path({folder!r})
saving = pl.callbacks.ModelCheckpoint(folder, every_n_train_steps=35, save_last=True)
options = {{**QUIET, "enable_checkpointing": True, "default_root_dir": folder}}
trainer = pl.Trainer(
    callbacks=[GrokPredictor({classifier!r}), saving, Dies()], max_steps=BUDGET, **options
)
trainer.fit(Follows(GOOD), batches())
"""


@pytest.mark.parametrize("step", [43, 257])
def test_kill_9_and_a_new_process(
    classifier: GrokClassifier, short_classifier_file: Path, step: int, tmp_path: Path
) -> None:
    here = Path(__file__).parent
    program = PROGRAM.format(
        paths=[str(here), str(here.parent)],
        folder=str(tmp_path),
        step=step,
        classifier=str(short_classifier_file),
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        timeout=400,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = GrokPredictor(short_classifier_file)
    fit(Follows(GOOD), whole)
    predictor = GrokPredictor(short_classifier_file)
    trainer = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    with pytest.warns(UserWarning, match="callbacks used to create the checkpoint"):
        trainer.fit(Follows(GOOD), batches(), ckpt_path=tmp_path / "last.ckpt", **WEIGHTS_ONLY)
    assert predictor.verdicts == whole.verdicts
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]


def test_the_state_of_an_earlier_version_is_refused_in_one_sentence(
    classifier: GrokClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It held the losses; the fit goes on without looks, under every argument."""
    path = tmp_path / "old.ckpt"
    trainer = fit(Follows(DOOMED), GrokPredictor(classifier), max_steps=30)
    trainer.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    ((key, state),) = content["callbacks"].items()
    old = {"losses": DOOMED[:30].tolist(), "n_seen": 30, "grid": 1, "budget": 400, "verdicts": []}
    content["callbacks"][key] = {**state, "monitor": old, "rate": None, "configuration": {}}
    torch.save(content, path)
    predictor = GrokPredictor(classifier)
    again = pl.Trainer(callbacks=[predictor], max_steps=BUDGET, **QUIET)
    again.fit(Follows(DOOMED), batches(), ckpt_path=path, **WEIGHTS_ONLY)
    assert again.global_step == BUDGET
    assert predictor.verdicts == []
    assert caplog.text.count("written by another version of grokpredict") == 1
