"""Figures: what they hold, that they are vectors, that their colours survive."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from short_runs import run

from grokpredict.evaluation import Score, score
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.verdict import Verdict
from grokpredict.reporting import PhaseDisplay, ScoreDisplay, plot_curves
from grokpredict.reporting.axis import ConfigurationAxis
from grokpredict.reporting.figure_file import write_display
from grokpredict.reporting.palette import OUTCOMES, PHASES, VERDICTS
from grokpredict.reporting.phase_display import CELLS, cell_means, spread
from grokpredict.reporting.thinning import thinned
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep

mpl.use("agg")

STEPS = np.arange(0, 1000, 10)


def finished(rate: float, decay: float, *, memorised: int, generalised: int, seed: int = 0) -> Run:
    """A run of 1000 steps whose accuracies jump from 0.1 to 1 at the given steps."""
    return Run(
        channels={
            "train_loss": Curve(STEPS, np.exp(-STEPS / 300)),
            "train_acc": Curve(STEPS, np.where(memorised <= STEPS, 1.0, 0.1)),
            "val_acc": Curve(STEPS, np.where(generalised <= STEPS, 1.0, 0.1)),
        },
        configuration=Configuration("adamw", rate, decay),
        hparams={"lr": rate, "weight_decay": decay, "seed": seed},
        max_steps=1000,
        name=f"{rate} {decay} {seed}",
    )


NEVER = 10_000
SWEEP = Sweep(
    [
        finished(1e-4, 0.0, memorised=NEVER, generalised=NEVER),
        finished(1e-3, 0.0, memorised=100, generalised=NEVER),
        finished(1e-3, 0.1, memorised=100, generalised=500),
        finished(1e-2, 1.0, memorised=100, generalised=150),
        finished(1e-2, 1.0, memorised=100, generalised=150, seed=1),
    ]
)
SCORES = [
    Score(run.name, 1000, verdict, (verdict,), run=run)
    for run, verdict in zip(
        SWEEP.runs,
        [
            Verdict("abort", "too low", 400, 1000, 0.01, 0.05),
            Verdict("abort", "too low", 800, 1000, 0.02, 0.05),
            *[Verdict("continue", "high enough", 800, 1000, p, 0.05) for p in (0.5, 0.9)],
            Verdict("abstain", "strange", 800, 1000, None, 0.05),
        ],
        strict=True,
    )
]


def test_a_phase_display_holds_what_it_draws() -> None:
    display = SWEEP.plot_phase("lr", "weight_decay", scores=SCORES)
    assert display.phases == (
        "confusion",
        "memorisation",
        "grokking",
        "comprehension",
        "comprehension",
    )
    assert (display.x.name, display.x.scale, display.y.scale) == ("learning_rate", "log", "linear")
    assert display.x.values.tolist() == [1e-4, 1e-3, 1e-3, 1e-2, 1e-2]
    assert display.stopped.tolist() == [True, True, False, False, False]
    np.testing.assert_array_equal(display.probability, [0.01, 0.02, 0.5, 0.9, np.nan])
    assert display.ax_.get_xlabel() == "learning_rate"
    legend = {text.get_text() for text in display.ax_.get_legend().get_texts()}
    assert legend == {"grokking", "comprehension", "memorisation", "confusion", "stopped"}
    rings = [line for line in display.ax_.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in rings] == [2]


def test_runs_of_one_configuration_lie_beside_each_other() -> None:
    x, y = spread(
        ConfigurationAxis.of("lr", [1e-4, 1e-3, 1e-2, 1e-2]),
        ConfigurationAxis.of("wd", [0.0, 1.0, 1.0, 1.0]),
    )
    assert x[:2].tolist() == pytest.approx([1e-4, 1e-3])
    assert y[:2].tolist() == pytest.approx([0.0, 1.0])
    moved = np.log10(x[2:] / 1e-2) / 2, y[2:] - 1.0
    distance = np.hypot(moved[0][0] - moved[0][1], moved[1][0] - moved[1][1])
    assert 0.005 < distance < 0.05


def test_the_shade_of_a_cell_is_the_mean_of_its_runs() -> None:
    x, y = np.array([0.0, 0.01, 1.0, 0.5]), np.array([0.0, 0.0, 1.0, np.nan])
    means = cell_means(x, y, np.array([0.2, 0.4, 0.9, 0.5]))
    assert means[0, 0] == pytest.approx(0.3)
    assert means[CELLS - 1, CELLS - 1] == pytest.approx(0.9)
    assert np.isfinite(means).sum() == 2


def test_an_axis_is_known_by_its_usual_names_and_others_are_refused() -> None:
    for name in ("lr", "learning_rate"):
        assert PhaseDisplay.from_sweep(SWEEP, name, "wd").y.name == "weight_decay"
    with pytest.raises(ValueError, match=r"got 'width'; these runs have optimizer, learning_rate"):
        SWEEP.plot_phase("lr", "width")
    with pytest.raises(ValueError, match=r"the 5 runs of the sweep, in their order"):
        SWEEP.plot_phase("lr", "wd", scores=SCORES[::-1])


def test_scales_follow_the_values() -> None:
    decay = ConfigurationAxis.of("weight_decay", [0.0, 0.01, 1.0])
    assert (decay.scale, decay.smallest) == ("symlog", 0.01)
    places = decay.places
    assert places[[0, 2]].tolist() == [0.0, 1.0]
    assert places[1] == pytest.approx(np.arcsinh(1) / np.arcsinh(100))
    assert ConfigurationAxis.of("p", [97, 97]).places.tolist() == [0.5, 0.5]
    kinds = ConfigurationAxis.of("optimizer", ["sgd", None, "adam"])
    np.testing.assert_array_equal(kinds.values, [1, np.nan, 0])


def test_curves_have_the_colours_of_verdicts_or_outcomes() -> None:
    assert plot_curves(SWEEP).classes == ("doomed", "doomed", "good", "good", "good")
    display = SWEEP.plot_curves(scores=SCORES)
    assert display.classes == ("abort", "abort", "continue", "continue", "abstain")
    steps, values = display.curves["val_acc"][2]
    assert steps[np.argmax(values > 0.5)] == 500
    colours = {
        mpl.colors.to_hex(collection.get_colors()[0])
        for collection in display.axes_[0].collections
        if isinstance(collection, mpl.collections.LineCollection) and collection.get_segments()
    }
    assert colours == {VERDICTS[name].light for name in ("abort", "continue", "abstain")}
    # A marker at the end of each curve says the verdict once more.
    ends = [
        collection
        for collection in display.axes_[1].collections
        if isinstance(collection, mpl.collections.PathCollection)
    ]
    assert [len(collection.get_offsets()) for collection in ends] == [2, 2, 1]
    shapes = {len(collection.get_paths()[0].vertices) for collection in ends}
    assert len(shapes) == 3
    np.testing.assert_array_equal(ends[0].get_offsets(), [[990, 1.0], [990, 1.0]])


def test_an_axis_with_a_zero_has_no_tick_below_it() -> None:
    decays = [0.0, 1e-3, 1e-2, 0.1, 1.0]
    runs = [finished(1e-3, decay, memorised=100, generalised=500) for decay in decays]
    display = Sweep(runs).plot_phase("weight_decay", "lr")
    assert display.x.scale == "symlog"
    display.figure_.canvas.draw()
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert labels == ["0", *(f"$10^{{{power}}}$" for power in (-3, -2, -1, 0))]
    assert display.ax_.get_xticks().min() == 0


def test_thinning_keeps_the_ends_and_samples_that_were_logged() -> None:
    curve = Curve(np.arange(100_000), np.sqrt(np.arange(100_000)))
    steps, values = thinned(curve, 60)
    assert (steps[0], steps[-1]) == (0, 99_999)
    assert 40 <= steps.size <= 60
    np.testing.assert_array_equal(values, np.sqrt(steps))
    ratios = steps[20:] / steps[19:-1]
    assert ratios.max() < 1.25  # evenly over a logarithmic axis
    gaps = Curve(np.arange(4), np.array([1.0, np.nan, np.inf, 2.0]))
    assert thinned(gaps, 60)[0].tolist() == [0, 3]


def test_a_score_is_drawn_with_accuracy_budget_and_threshold() -> None:
    looks = (
        Verdict("continue", "", 200, 1000, 0.3, 0.05),
        Verdict("abstain", "strange", 282, 1000, None, 0.05),
        SCORES[1].verdict,
    )
    score = Score("a run", 1000, looks[-1], looks, run=SWEEP.runs[1])
    display = score.plot()
    assert display.actions == ("continue", "abort")
    assert display.steps.tolist() == [200, 800]
    assert set(display.curves) == {"train_loss", "val_acc"}
    above, below = display.axes_
    assert below.get_yscale() == "logit"
    budgets = [line for line in above.lines if list(line.get_xdata()) == [1000, 1000]]
    assert len(budgets) == 1
    assert any("validation accuracy" in axis.get_ylabel() for axis in display.figure_.axes)
    markers = {tuple(map(tuple, dots.get_paths()[0].vertices)) for dots in below.collections}
    assert len(markers) == 3  # one a verdict, whether it occurs or not


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_what_is_written_is_a_vector_of_a_column_s_width(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"score.{suffix}"
    write_display(ScoreDisplay.from_score(SCORES[2]), path)
    written = path.read_bytes()
    if suffix == "svg":
        assert b"<image" not in written
        assert b'width="252pt"' in written  # 3.5 inches
        assert b">training loss<" in written  # text stays text
    else:
        assert written.startswith(b"%PDF")
        assert b"/Subtype /Image" not in written
        assert b"/MediaBox [ 0 0 252 " in written


def test_a_display_fits_into_a_figure_of_the_user() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    before = left.get_position().bounds
    display = SCORES[2].plot(left)
    phases = SWEEP.plot_phase("lr", "wd", ax=right)
    assert phases.ax_ is right
    assert display.figure_ is figure
    for axis in display.axes_:
        x, y, width, height = axis.get_position().bounds
        assert x >= before[0] - 1e-9
        assert x + width <= before[0] + before[2] + 1e-9
        assert y >= before[1] - 1e-9
        assert y + height <= before[1] + before[3] + 1e-9


#: Machado, Oliveira & Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
#: Linear sRGB to CIE XYZ, D65.
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.072175],
        [0.0193339, 0.119192, 0.9503041],
    ]
)


def linear(colour: str) -> np.ndarray:
    values = np.array(mpl.colors.to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB."""
    ratio = XYZ @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colours: list[str]) -> tuple[float, float]:
    """The least distance as seen without green cones, and the least difference in lightness."""
    pairs = list(itertools.combinations(map(linear, colours), 2))
    seen = [np.linalg.norm(lab(DEUTERANOPIA @ a) - lab(DEUTERANOPIA @ b)) for a, b in pairs]
    grey = [abs(lab(a)[0] - lab(b)[0]) for a, b in pairs]
    return min(seen), min(grey)


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("scale", ["phases", "verdicts", "outcomes"])
def test_colours_survive_deuteranopia_and_grey(scale: str, ground: str) -> None:
    styles = {"phases": PHASES, "verdicts": VERDICTS, "outcomes": OUTCOMES}[scale]
    # What is unknown is grey; its marker tells it from the others.
    colours = [getattr(style, ground) for name, style in styles.items() if name != "unknown"]
    seen, grey = closest(colours)
    assert seen > 15
    assert grey > 8
    assert len({style.marker for style in styles.values()}) == len(styles)
    assert len({style.shape for style in styles.values()}) == len(styles)


def test_the_check_of_colours_can_fail() -> None:
    seen, grey = closest(["#d62728", "#6f8f2a"])  # red and green
    assert seen < 30
    assert closest(["#ff0000", "#5a7d00"])[1] < 8
    assert grey < 15


def test_a_real_score_holds_its_run(classifier: GrokClassifier) -> None:
    own = run(3)
    assert score(own, classifier).run is own
