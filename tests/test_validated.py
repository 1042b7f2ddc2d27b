"""A classifier reads the validation metrics of runs that have them, all looks of a run alike."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from planted import hand_made, planted_sweep, read

from grokpredict.features.metrics import Evaluations
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.file import ClassifierFileError
from grokpredict.model.reading import WINDOW_READS
from grokpredict.model.verdict import judge
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.sweep import Sweep
from grokpredict.training.gathering import train

LOSSES = 3 * np.exp(-np.arange(400) / 100) + 0.01 * np.sin(np.arange(400))
END = LOSSES[395]
CONTEXT = Configuration(optimizer="adamw", learning_rate=1e-3, weight_decay=0.1)
ENOUGH = {(told, 1): np.full(59, 0.5) for told in (False, True)}


def seen(loss: float, every: int = 50, end: int = 400) -> Evaluations:
    steps = np.arange(0, end, every)
    return Evaluations(steps, np.full(steps.size, loss), np.full(steps.size, 0.4))


def both() -> GrokClassifier:
    """0.1 or 0.9 by the budget without metrics, 0.3 or 0.7 by the gap of the losses with them."""
    return hand_made(scores=ENOUGH, validated_scores=ENOUGH)


def test_what_is_known_decides_which_model_looks() -> None:
    looks = both().look(
        np.broadcast_to(LOSSES, (6, 400)),
        horizon=400,
        budget=900,
        configurations=[None, CONTEXT, None, None, CONTEXT, None],
        evaluations=[None, None, seen(100.0), seen(END), seen(END), seen(END, every=500)],
    )
    assert looks.probability == pytest.approx([0.1, 0.2, 0.3, 0.7, 0.75, 0.1])
    assert read(both(), looks, "val_loss") == [False, False, True, True, True, False]
    assert read(both(), looks, "configuration") == [False, True, False, False, True, False]


def test_a_classifier_without_such_models_does_not_read_them() -> None:
    classifier = hand_made()
    looks = classifier.look(LOSSES[None], horizon=400, budget=900, evaluations=[seen(END)])
    assert looks.probability == pytest.approx([0.1])
    assert read(classifier, looks, "val_loss") == [False]


def test_each_model_has_its_own_threshold() -> None:
    classifier = hand_made(
        scores={(False, 1): np.full(100, 0.25)}, validated_scores={(False, 1): np.full(70, 0.6)}
    )
    for model, expected, number in ((0, 0.25, 100), (2, 0.6, 70)):
        without, configured = WINDOW_READS[model : model + 2]
        assert classifier.threshold(without, 1, 0.05) == expected
        assert classifier.n_calibration(without, 1) == number
        assert classifier.n_calibration(configured, 1) == 0
    verdict = judge(classifier, LOSSES, horizon=400, budget=4000, evaluations=seen(100.0))
    assert (verdict.action, verdict.threshold) == ("abort", 0.6)
    assert verdict.features["val_loss_gap"] == pytest.approx(2 - np.log10(END), abs=0.1)


def test_metrics_unlike_those_of_the_training_runs_abstain() -> None:
    verdict = judge(both(), LOSSES, horizon=400, budget=900, evaluations=seen(1e20))
    assert verdict.action == "abstain"
    assert "validation metrics are unlike" in verdict.reason
    assert "val_loss" in verdict.reason


def test_a_file_and_a_pickle_keep_all_of_it(tmp_path: Path) -> None:
    classifier = both()
    classifier.save(tmp_path / "c.npz")
    for again in (GrokClassifier.load(tmp_path / "c.npz"), pickle.loads(pickle.dumps(classifier))):
        assert [own.reads for own in again.readers] == [own.reads for own in classifier.readers]
        for told in (False, True):
            for metrics in (seen(END), seen(100.0)):
                first, second = (
                    judge(
                        own,
                        LOSSES,
                        horizon=400,
                        budget=900,
                        configuration=CONTEXT if told else None,
                        evaluations=metrics,
                    )
                    for own in (classifier, again)
                )
                assert first == second


@pytest.mark.parametrize("name", ["metric_low", "metric_high"])
def test_an_impossible_range_in_a_file_is_refused(tmp_path: Path, name: str) -> None:
    classifier = both()
    ends = {"metric_low": 9.0, "metric_high": -9.0}
    broken = dataclasses.replace(
        classifier.familiar, **{name: np.full_like(classifier.familiar.metric_low, ends[name])}
    )
    dataclasses.replace(classifier, familiar=broken).save(tmp_path / "c.npz")
    with pytest.raises(ClassifierFileError, match="ends in order"):
        GrokClassifier.load(tmp_path / "c.npz")


# -- training --------------------------------------------------------------------------------


def told_by_the_gap(n_runs: int, share: float = 1.0) -> Sweep:
    """Runs of which the training loss says nothing, and the validation loss all."""
    runs = []
    for i, run in enumerate(planted_sweep(n_runs, signal=0.0, seed=3).runs):
        accuracy = run.channels["val_acc"]
        good = accuracy.values[-3] > 0.95
        rng = np.random.default_rng(i)
        loss = Curve(accuracy.steps, np.exp(rng.normal(0.0 if good else 2.0, 0.1, len(accuracy))))
        channels = {**run.channels, **({"val_loss": loss} if i < share * n_runs else {})}
        runs.append(dataclasses.replace(run, channels=channels))
    return Sweep(runs)


def test_training_finds_what_only_the_metrics_tell() -> None:
    classifier, report = train(told_by_the_gap(160), horizons=[400], strides=[1])
    areas = {own.reads: own.auroc.value for own in report.figures}
    assert tuple(areas) == tuple(own.reads for own in classifier.readers) == WINDOW_READS
    assert areas["train_loss",] == pytest.approx(0.5, abs=0.15)
    for reads in WINDOW_READS[2:]:
        area = areas[reads]
        assert area is not None
        assert area > 0.97
        assert classifier.threshold(reads, 1, 0.05) == pytest.approx(0.9, abs=0.1)


def test_metrics_that_few_runs_have_are_not_learnt_from() -> None:
    classifier, report = train(told_by_the_gap(160, share=0.4), horizons=[400], strides=[1])
    assert not classifier.reads_validation
    assert not any("val_loss" in own.reads for own in report.figures)
