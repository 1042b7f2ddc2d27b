"""Thresholds from finished runs: what is counted, what is promised, what the command says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_cli import run as command
from test_looks import BUDGET, planted, table_of

from grokpredict import ClassifierFileError, GrokClassifier, Sweep, UnsuitableSweepError, calibrate
from grokpredict.features.profile import looks_before
from grokpredict.features.recording import Recording
from grokpredict.live.logged import looks_at
from grokpredict.logs.bundle_writer import write_bundle
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import only, read_by
from grokpredict.model.thresholds import expected_threshold
from grokpredict.reporting.calibrations import calibration_text
from grokpredict.runs.labels import outcome
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings
from grokpredict.training.cross_validation import fit

BOUND = 0.05
ALL = ("train_loss", "val_loss", "train_acc", "val_acc", "weight_norm")


def some_runs(n: int, seed: int) -> list[Run]:
    rng = np.random.default_rng(seed)
    return [
        replace(planted(rng, good=i % 2 == 0), hparams={"lr": i / n}, name=f"run {i}")
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def classifier() -> GrokClassifier:
    runs = some_runs(120, 1)
    t4 = np.where(np.arange(120) % 2 == 0, 5000.0, np.inf)
    table = table_of(runs, t4)
    built_in = {ALL: Calibration(np.linspace(0.01, 1, 100))}
    low = np.where(np.isfinite(table.columns).any(axis=0), np.fmin.reduce(table.columns), 0.0)
    high = np.where(np.isfinite(table.columns).any(axis=0), np.fmax.reduce(table.columns), 0.0)
    return GrokClassifier(fit(table, seed=0), built_in, low, high)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Fifty, of which 25 generalise."""
    return some_runs(50, 2)


@pytest.fixture(scope="module")
def calibrated(classifier: GrokClassifier, runs: list[Run]) -> GrokClassifier:
    return calibrate(classifier, Sweep(runs))[0]


def lowest(classifier: GrokClassifier, run: Run, reads: tuple[str, ...] = ALL) -> float | None:
    """The lowest score at any look before a run generalised, one look after the other."""
    end = outcome(run)
    assert end is not None
    if end.t4 is None:
        return None
    recording = Recording.of(run.channels)
    scores = []
    for look in range(looks_before(min(end.t4, BUDGET)).size):
        columns = recording.columns([look], BUDGET)
        if set(reads) <= set(read_by(columns)[0]):
            scores.append(float(classifier.look(only(columns, reads)).probability[0]))
    return min(scores)


def test_the_scores_are_the_lowest_before_each_good_run_generalised(
    classifier: GrokClassifier, calibrated: GrokClassifier, runs: list[Run]
) -> None:
    for reads in (ALL, ("train_loss",), ("train_loss", "val_acc")):
        expected = sorted(s for run in runs if (s := lowest(classifier, run, reads)) is not None)
        found = calibrated.calibrations[reads].user
        assert found.size == 25
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_model_and_the_built_in_scores_stay(
    classifier: GrokClassifier, calibrated: GrokClassifier
) -> None:
    after = calibrated
    assert after.trees is classifier.trees
    assert after.calibrations[ALL].independent is classifier.calibrations[ALL].independent
    assert np.all(after.low <= classifier.low)
    assert np.all(after.high >= classifier.high)
    for bound in (0.01, 0.05, 0.1, 0.3):
        limit = after.threshold(ALL, bound)
        assert limit == after.calibrations[ALL].threshold(bound)
    assert after.calibrations[ALL].guarantee(0.05) == "expectation"
    assert after.calibrations[ALL].guarantee(0.02) == "built-in"


def test_confidence_is_wanted_by_name_and_kept_in_the_file(
    classifier: GrokClassifier, runs: list[Run], calibrated: GrokClassifier, tmp_path: Path
) -> None:
    sure, _ = calibrate(classifier, Sweep(runs), guarantee="confidence")
    sure.save(tmp_path / "sure.npz")
    for found in (sure, GrokClassifier.load(tmp_path / "sure.npz")):
        # 25 good runs are enough for 95 % at a bound of 20 %, and not at one of 5 %.
        assert found.calibrations[ALL].guarantee(0.2) == "confidence"
        assert found.threshold(ALL, 0.2) < calibrated.threshold(ALL, 0.2)
        assert found.threshold(ALL, 0.05) == calibrated.threshold(ALL, 0.05)
        verdicts = [
            looks_at(run, found, budget=BUDGET, max_false_abort=0.2)[-1] for run in runs[1:9:2]
        ]
        assert any("with 95 % confidence, from 25" in verdict.reason for verdict in verdicts)
    with pytest.raises(ValueError, match="'expectation' or 'confidence', got 'certainty'"):
        calibrate(classifier, Sweep(runs), guarantee="certainty")


def test_repetitions_count_once_by_their_lowest(
    classifier: GrokClassifier, runs: list[Run]
) -> None:
    paired = [
        replace(run, hparams={"lr": i // 4 + i % 2 / 2, "seed": i}) for i, run in enumerate(runs)
    ]
    calibrated, report = calibrate(classifier, Sweep(paired))
    good = [lowest(classifier, run) for run in paired[::2]]
    expected = sorted(min(good[i : i + 2]) for i in range(0, 25, 2))
    np.testing.assert_allclose(calibrated.calibrations[ALL].user, expected, atol=1e-6)
    text = calibration_text(report, Findings(), BOUND)
    assert text.startswith("13 good configurations of 19: no bound for your runs alone; 6 more")
    assert "25  generalised by their budget: used, of 13 configurations" in text


def test_repetitions_of_one_configuration_all_count(
    classifier: GrokClassifier, runs: list[Run]
) -> None:
    same = [replace(run, hparams={"lr": 1, "seed": i}) for i, run in enumerate(runs)]
    calibrated, _ = calibrate(classifier, Sweep(same))
    assert calibrated.calibrations[ALL].user.size == 25


def test_what_would_have_been_lost_is_left_one_out(
    classifier: GrokClassifier, runs: list[Run]
) -> None:
    _, report = calibrate(classifier, Sweep(runs))
    found = report.parts[0].would_have(BOUND)
    scores = np.sort([s for run in runs if (s := lowest(classifier, run)) is not None])
    # Of 24 good runs the lowest score is the threshold, so that the lowest of 25 is lost.
    lost = sum(
        s < (expected_threshold(np.delete(scores, i), BOUND) or 0) for i, s in enumerate(scores)
    )
    assert (found.lost, found.good) == (lost, 25) == (1, 25)


def test_what_would_have_been_saved_is_what_a_monitor_saves(
    classifier: GrokClassifier, calibrated: GrokClassifier, runs: list[Run]
) -> None:
    _, report = calibrate(classifier, Sweep(runs))
    doomed = [run for run in runs if lowest(classifier, run) is None]
    saved = 0
    for run in doomed:
        verdicts = looks_at(run, calibrated, budget=BUDGET, max_false_abort=BOUND)
        if verdicts[-1].action == "abort":
            saved += BUDGET - (verdicts[-1].horizon or 0)
    share = report.parts[0].would_have(BOUND).saved
    assert share == pytest.approx(saved / (len(doomed) * (BUDGET - 200)))
    assert share > 0.3


def test_a_verdict_names_its_guarantee(calibrated: GrokClassifier, runs: list[Run]) -> None:
    last = [looks_at(r, calibrated, budget=BUDGET, max_false_abort=BOUND)[-1] for r in runs[1:20:2]]
    aborts = [verdict for verdict in last if verdict.action == "abort"]
    assert aborts
    for verdict in aborts:
        assert (
            "(set to lose at most 5 % of good runs like yours, in expectation, from 25 of them)"
            in verdict.reason
        )


def test_the_loss_alone_stops_by_the_users_runs_only(
    classifier: GrokClassifier, calibrated: GrokClassifier, runs: list[Run]
) -> None:
    assert classifier.threshold(("train_loss",), BOUND) is None
    limit = calibrated.threshold(("train_loss",), BOUND)
    assert limit == calibrated.calibrations["train_loss",].user[0]
    few, _ = calibrate(classifier, Sweep(runs[:30]))
    assert few.threshold(("train_loss",), BOUND) is None
    # From the step on by which the calibrating runs had a metric: later ones that have one
    # are read by it, so that no run is stopped by either of two thresholds.
    first = calibrated.first_step(("train_loss",))
    assert first == 200
    late = replace(
        calibrated,
        calibrations={
            ("train_loss",): replace(
                calibrated.calibrations["train_loss",], first_step=800, user=np.full(19, 0.999)
            )
        },
    )
    bare = replace(runs[1], channels={"train_loss": runs[1].loss})
    verdicts = looks_at(bare, late, budget=BUDGET, max_false_abort=BOUND)
    assert [verdict.action for verdict in verdicts] == ["continue"] * 4 + ["abort"]
    assert verdicts[-1].horizon == 800
    assert "before step 800" in verdicts[0].reason


def test_a_file_keeps_it(calibrated: GrokClassifier, tmp_path: Path) -> None:
    calibrated.save(tmp_path / "my.npz")
    again = GrokClassifier.load(tmp_path / "my.npz")
    for reads, calibration in calibrated.calibrations.items():
        np.testing.assert_array_equal(again.calibrations[reads].user, calibration.user)
        assert again.first_step(reads) == calibration.first_step
        for bound in (0.02, 0.05, 0.1, 0.3):
            assert again.threshold(reads, bound) == calibration.threshold(bound)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("user", np.array([0.3, 0.2]), "in order"),
        ("user", np.array([0.3, 1.2]), "probabilities"),
        ("user", np.array([0.3, np.nan]), "probabilities"),
        ("user", np.array([[0.3]]), "probabilities"),
        ("first_step", np.array(-1), "first step"),
        ("first_step", np.array(0.5), "first step"),
        ("first_step", np.array(2**60), "first step"),
        ("first_step", np.array([1]), "first step"),
        ("first_step", None, "first_step"),
        ("wanted", np.array(2), "how the bound is to hold"),
        ("wanted", np.array([0]), "how the bound is to hold"),
        ("wanted", np.array(0.5), "how the bound is to hold"),
    ],
)
def test_impossible_scores_in_a_file_are_refused(
    calibrated: GrokClassifier, tmp_path: Path, name: str, value: np.ndarray | None, reason: str
) -> None:
    path = tmp_path / "my.npz"
    calibrated.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    if value is None:
        del arrays[f"calibrations.0.{name}"]
    else:
        arrays[f"calibrations.0.{name}"] = value
    np.savez(path, **arrays)
    with pytest.raises(ClassifierFileError, match=reason):
        GrokClassifier.load(path)


def test_sweeps_that_cannot_calibrate(classifier: GrokClassifier, runs: list[Run]) -> None:
    with pytest.raises(UnsuitableSweepError, match="none of 25 did: 25 did not generalise"):
        calibrate(classifier, Sweep(runs[1::2]))
    with pytest.raises(UnsuitableSweepError, match="none of 0 did"):
        calibrate(classifier, Sweep([]))
    with pytest.raises(UnsuitableSweepError, match=r"0 did not generalise, .* 50 ended before"):
        calibrate(classifier, Sweep(runs), budget=10 * BUDGET)


def test_one_good_run_and_no_doomed_one(classifier: GrokClassifier, runs: list[Run]) -> None:
    calibrated, report = calibrate(classifier, Sweep(runs[:1]))
    calibration = calibrated.calibrations[ALL]
    assert calibration.threshold(BOUND) == min(
        calibration.built_in(BOUND), *calibration.user.tolist()
    )
    assert calibration_text(report, Findings(), BOUND).startswith(
        "1 good run of 19: no bound for your runs alone; 18 more for 5 % in expectation; would "
        "have lost 0 of 1; no run was doomed, so nothing was saved."
    )


# -- the command -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    channels = {
        name: (runs[0].channels[name].steps, np.stack([r.channels[name].values for r in runs]))
        for name in ALL
    }
    hparams = [{**run.hparams, "max_steps": BUDGET} for run in runs]
    write_bundle(folder / "runs.npz", channels=channels, hparams=hparams)
    (folder / "bad.csv").write_text("step,loss\n0,1\n1,oops\n")
    return folder


@pytest.fixture(scope="module")
def before(classifier: GrokClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classifier") / "before.npz"
    classifier.save(path)
    return path


def test_the_command_says_its_conclusion_first(sweep: Path, before: Path, tmp_path: Path) -> None:
    result = command("calibrate", sweep, "--classifier", before, "-o", tmp_path / "my.npz")
    assert result.exit_code == 0, result.stderr
    first = result.stdout.splitlines()[0]
    assert re.fullmatch(
        r"25 good runs of 59: bound 5 % in expectation; 34 more for 95 % confidence; would have "
        r"lost 1 of 25 and saved \d\d %\.",
        first,
    )
    assert "Budget of 50 runs: max_steps" in result.stdout
    assert "left out: " in result.stderr
    assert max(map(len, result.stdout.splitlines()[1:-1])) <= 100
    after = GrokClassifier.load(tmp_path / "my.npz")
    assert after.n_user(ALL) == 25
    scored = command("score", sweep / "runs.npz", "--classifier", tmp_path / "my.npz", "--json")
    assert scored.exit_code == 0


def test_from_paths_it_is_the_same(sweep: Path, before: Path, calibrated: GrokClassifier) -> None:
    found, report = calibrate(before, sweep)
    np.testing.assert_array_equal(found.calibrations[ALL].user, calibrated.calibrations[ALL].user)
    assert report.counts.left_out == 1


def test_the_command_as_json_for_another_bound(sweep: Path, before: Path, tmp_path: Path) -> None:
    options = ("--classifier", before, "-o", tmp_path / "my.npz", "--json")
    wanted = ("--max-false-abort", 0.2, "--guarantee", "confidence")
    result = command("calibrate", sweep, *options, *wanted)
    document = json.loads(result.stdout)
    assert document["counts"]["good"] == document["counts"]["doomed"] == 25
    part = document["parts"][0]
    assert part["reads"] == list(ALL)
    assert (part["guarantee"], part["good_configurations"]) == ("confidence", 25)
    assert part["would_have"]["good"] == 25
    assert document["parts"][-1]["reads"] == ["train_loss"]


def test_bad_input_ends_with_one_sentence(sweep: Path, before: Path, tmp_path: Path) -> None:
    target = tmp_path / "my.npz"
    for arguments, reason in (
        ((sweep, "--budget", 10 * BUDGET), "50 ended before their budget"),
        ((sweep, "--strict"), "bad.csv"),
        ((tmp_path / "nowhere",), "No file or folder"),
        ((sweep, "--classifier", sweep / "bad.csv"), "not a classifier"),
    ):
        result = command("calibrate", "--classifier", before, "-o", target, *arguments)
        assert result.exit_code == 2
        assert reason in result.stderr
        assert "Traceback" not in result.stderr
        assert not target.exists()
