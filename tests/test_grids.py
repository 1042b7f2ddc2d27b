"""Step grids in training."""

from __future__ import annotations

import re

from planted import planted_sweep

from grokpredict.features.conditioning import MIN_SAMPLES
from grokpredict.model.classifier import DEFAULT_STRIDES, load_classifier
from grokpredict.model.reading import WINDOW_READS
from grokpredict.reporting import training_text
from grokpredict.runs.sweep import Findings
from grokpredict.training.gathering import train


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
