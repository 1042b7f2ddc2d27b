"""One rule for step grids: a finer run is thinned, a coarser one refused, everywhere alike."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lightning_runs import LIGHTNING_WARNINGS, Follows, fit
from planted import hand_made, planted_sweep

from grokpredict.cli import main
from grokpredict.features.conditioning import MIN_SAMPLES
from grokpredict.features.signal import extract, feature_names
from grokpredict.live.lightning import GrokPredictor
from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.classifier import DEFAULT_STRIDES, GrokClassifier, load_classifier
from grokpredict.model.reading import WINDOW_READS
from grokpredict.reporting import training_text
from grokpredict.runs.curve import UnsuitableRunError
from grokpredict.runs.sweep import Findings
from grokpredict.training.gathering import train

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]

T = np.arange(500)
LOSSES = (np.exp(-T / 200) * (1 + 0.1 * np.sin(T))).astype(np.float32).astype(float)

COARSE = hand_made(grids=((400, 10),))

#: Of ten steps the last, as Lightning's ``log_every_n_steps=10`` logs it.
THINNED = extract(LOSSES[None, 9:400:10])[0]


def scored(folder: Path, classifier: GrokClassifier, stride: int) -> dict:
    classifier.save(folder / "c.npz")
    rows = (f"{step},{LOSSES[step]}\n" for step in range(stride - 1, T.size, stride))
    (folder / "run.csv").write_text("step,loss\n" + "".join(rows))
    command = ["score", str(folder / "run.csv"), "--classifier", str(folder / "c.npz"), "--json"]
    (found,) = json.loads(CliRunner().invoke(main, command).stdout)
    return found


def own(features: dict[str, float]) -> list[float]:
    return [features[name] for name in feature_names()]


@pytest.mark.parametrize("stride", [1, 2, 5, 10])
def test_a_finer_run_is_thinned(tmp_path: Path, stride: int) -> None:
    (verdict,) = GrokMonitor(COARSE, budget=4000, stride=stride).extend(
        LOSSES[stride - 1 : 400 : stride]
    )
    assert own(verdict.features) == pytest.approx(THINNED.tolist())
    found = scored(tmp_path, COARSE, stride)
    assert found["horizon"] == 400
    assert own(found["features"]) == pytest.approx(THINNED.tolist())


def test_the_callback_sees_every_step_and_thins_likewise() -> None:
    predictor = GrokPredictor(COARSE, budget=4000, action="warn")
    fit(Follows(LOSSES), predictor, n=450, max_steps=450)
    (verdict,) = predictor.verdicts
    assert verdict.horizon == 400
    assert own(verdict.features) == pytest.approx(THINNED.tolist(), rel=1e-4)


@pytest.mark.parametrize("stride", [3, 20, 50])
def test_a_coarser_run_and_one_beside_the_grid_are_refused(tmp_path: Path, stride: int) -> None:
    found = scored(tmp_path, COARSE, stride)
    assert (found["verdict"], found["looks"]) == ("abstain", [])
    assert f"every 10 steps, not every {stride}" in found["reason"]
    with pytest.raises(UnsuitableRunError) as refused:
        GrokMonitor(COARSE, budget=4000, stride=stride)
    assert str(refused.value) == found["reason"]


def test_the_default_classifier_serves_the_usual_grids() -> None:
    """Each at the horizons for which it gives enough losses."""
    classifier = load_classifier("default")
    assert classifier.strides == DEFAULT_STRIDES == (1, 5, 10, 25, 50, 100)
    for stride in DEFAULT_STRIDES:
        served = [each for each in (200, 400, 800, 1600, 3200) if each >= MIN_SAMPLES * stride]
        assert list(classifier.horizons_on(stride)) == served


def test_what_a_coarser_grid_costs_is_told() -> None:
    classifier, report = train(planted_sweep(60, steps=220), horizons=(100, 200), strides=(1, 5))
    areas = {(area.horizon, area.stride): area for area in report.grids}
    assert set(areas) == {(100, 1), (200, 1), (200, 5)}  # 20 losses are too few for a look
    for each in report.figures:
        if each.reads == WINDOW_READS[0]:
            assert areas[each.horizon, 1].loss == each.auroc.value
        if each.reads == WINDOW_READS[1]:
            assert areas[each.horizon, 1].with_configuration == each.auroc.value
    text = training_text(classifier, report, (), Findings(), 0.05)
    assert re.search(r"^ +steps +after 100 +after 200$", text, re.M)
    assert re.search(r"^ +every 1( +[01]\.\d{3} / [01]\.\d{3}){2}$", text, re.M)
    assert re.search(r"^ +every 5 +- +[01]\.\d{3} / [01]\.\d{3}$", text, re.M)
    assert {"horizon", "stride", "loss", "with_configuration"} <= set(report.to_dict()["grids"][0])
