"""The same run gets the same verdict: callback, monitor, ``score`` on its log, and ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_namespace import pl
from lightning_runs import GOOD, LIGHTNING_WARNINGS, QUIET, Follows, batches
from look_models import looking
from short_runs import BUDGET

from grokpredict.evaluation.accounting import Finished
from grokpredict.evaluation.looks import chosen, past_looks
from grokpredict.evaluation.replay import replay
from grokpredict.evaluation.scoring import score
from grokpredict.live.lightning import GrokPredictor
from grokpredict.live.monitor import GrokMonitor
from grokpredict.logs import read_run
from grokpredict.model.channels import READABLE
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.verdict import Verdict
from grokpredict.training.outcomes import Runs

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]


class Logged(Follows):
    """Logs every tenth loss; accuracies in percent, the validation's under a name of its own."""

    def __init__(self) -> None:
        super().__init__(GOOD)
        self.weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))

    def loss_now(self, batch: Any = None) -> Any:
        return self.losses[self.trainer.global_step] + 0 * self.weight.sum()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_now()
        self.log("train_loss", loss)
        self.log("train_acc", 100 - 300 / (self.trainer.global_step + 3.0))
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", 1 + self.trainer.global_step / 100)
        self.log("heldout", 0.5 + self.trainer.global_step / 50)


@pytest.fixture(scope="module")
def classifier() -> GrokClassifier:
    """P moves with the level of the loss of every step."""
    return looking("train_loss_level", np.linspace(-1.5, -0.5, 40), odds=0.1)


@pytest.fixture(scope="module")
def watched(
    classifier: GrokClassifier, tmp_path_factory: pytest.TempPathFactory
) -> tuple[GrokPredictor, Path]:
    """A fit of 300 steps that was planned to generalise by step 400."""
    logger = pl.loggers.CSVLogger(tmp_path_factory.mktemp("logs"))
    predictor = GrokPredictor(classifier, budget=BUDGET, val_metric="heldout", action="warn")
    options = {**QUIET, "logger": logger, "max_steps": 300, "val_check_interval": 25}
    trainer = pl.Trainer(callbacks=[predictor], log_every_n_steps=10, **options)
    trainer.fit(Logged(), batches(), batches(1))
    return predictor, Path(logger.log_dir)


def alike(ours: Verdict, theirs: Verdict) -> None:
    assert ours.probability == pytest.approx(theirs.probability, abs=1e-6)
    assert ours.threshold == pytest.approx(theirs.threshold, abs=1e-6)
    assert (ours.reads, ours.budget, ours.horizon) == (theirs.reads, theirs.budget, theirs.horizon)
    assert (ours.action, ours.every) == (theirs.action, theirs.every)


def test_score_on_the_log_says_what_the_callback_said(
    watched: tuple[GrokPredictor, Path], classifier: GrokClassifier
) -> None:
    predictor, folder = watched
    assert [own.reads for own in predictor.verdicts] == [READABLE, READABLE]
    found = score(folder, classifier)
    assert found.budget_source == "the callback, in grokpredict.json"
    assert len(found.looks) == len(predictor.verdicts)
    for ours, theirs in zip(found.looks, predictor.verdicts, strict=True):
        alike(ours, theirs)


def test_the_log_alone_is_another_reading(
    watched: tuple[GrokPredictor, Path], classifier: GrokClassifier, tmp_path: Path
) -> None:
    """The negative control: every tenth loss, no norm, and an accuracy of another name."""
    predictor, folder = watched
    (tmp_path / "metrics.csv").write_text((folder / "metrics.csv").read_text())
    looks = score(tmp_path, classifier, budget=BUDGET).looks
    assert looks[0].reads == ("train_loss", "val_loss", "train_acc")
    assert looks[0].probability != pytest.approx(predictor.verdicts[0].probability, abs=1e-6)


def test_another_budget_is_asked_of_the_log(
    watched: tuple[GrokPredictor, Path], classifier: GrokClassifier
) -> None:
    looks = score(watched[1], classifier, budget=350).looks
    assert {own.budget for own in looks} == {350}
    assert "weight_norm" not in looks[0].reads


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: "{",
        lambda record: "[1]",
        lambda record: json.dumps({**record, "recording": {"sums": {"index": [10**9]}}}),
        lambda record: json.dumps({**record, "recording": 3}),
        lambda record: json.dumps({**record, "recording": {"steps": "many"}}),
        lambda record: json.dumps(
            {**record, "recording": {**record["recording"], "losses": [1.0] * 5000}}
        ),
        lambda record: json.dumps({**record, "budget": -1}),
    ],
)
def test_a_damaged_file_beside_the_log_is_no_file(
    watched: tuple[GrokPredictor, Path], classifier: GrokClassifier, tmp_path: Path, damage: Any
) -> None:
    folder = watched[1]
    (tmp_path / "metrics.csv").write_text((folder / "metrics.csv").read_text())
    record = json.loads((folder / "grokpredict.json").read_text())
    (tmp_path / "grokpredict.json").write_text(damage(record))
    looks = score(tmp_path, classifier, budget=BUDGET).looks
    assert [own.horizon for own in looks] == [200, 282]
    assert "weight_norm" not in looks[0].reads


def test_a_monitor_says_the_same(
    watched: tuple[GrokPredictor, Path], classifier: GrokClassifier
) -> None:
    """Given by hand what the callback saw."""
    predictor, _ = watched
    monitor = GrokMonitor(classifier, budget=BUDGET)
    edges = {own for verdict in predictor.verdicts for own in range(1, verdict.horizon + 1)}
    for step in range(1, 301):
        monitor.update(GOOD[step - 1])
        if step in edges:
            accuracy = 100 - 300 / (step - 1 + 3.0)
            monitor.saw(step, weight_norm=5.0, train_acc=accuracy)
        if step % 25 == 0:
            monitor.saw_evaluation(1 + step / 100, 0.5 + step / 50)
            monitor.saw_validation(0.5 + step / 50)
    for ours, theirs in zip(monitor.verdicts, predictor.verdicts, strict=True):
        alike(ours, theirs)


def test_evaluate_says_the_same(
    watched: tuple[GrokPredictor, Path], classifier: GrokClassifier
) -> None:
    predictor, folder = watched
    run = read_run(folder)
    one = np.zeros(1, dtype=np.int64)
    done = Finished(
        Runs(
            runs=(run,),
            configurations=(run.configuration,),
            t4=np.array([np.inf]),
            budget=np.array([float(BUDGET)]),
            configuration=one,
            network=one,
            family=(None,),
        ),
        np.array([float(BUDGET)]),
    )
    looks = past_looks(done, classifier.rule)
    choice = chosen(
        looks,
        lambda readable: classifier.reads(readable, 0.05),
        lambda reads, step: classifier.threshold(reads, 0.05, step) is not None,
    )
    found = replay(looks, choice, classifier, max_false_abort=0.05, name="it")
    assert found.horizons == tuple(own.horizon for own in predictor.verdicts)
    for row, verdict in enumerate(predictor.verdicts):
        assert found.probability[row, 0] == pytest.approx(verdict.probability, abs=1e-6)
        assert found.threshold[row, 0] == pytest.approx(verdict.threshold, abs=1e-6)
        assert choice.reads[row] == verdict.reads
