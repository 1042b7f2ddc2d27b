"""Finished runs replayed: as a monitor would have looked, honest about what was trained on them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from planted import hand_made, planted_sweep
from short_runs import BUDGET, HORIZONS, run

from grokpredict.cli import main
from grokpredict.evaluation import Evaluation, evaluate
from grokpredict.evaluation.comparison import _population
from grokpredict.evaluation.crossfit import _thresholds, cross_fitted
from grokpredict.evaluation.ledger import Finished, finished
from grokpredict.evaluation.replay import replay
from grokpredict.evaluation.scoring import score
from grokpredict.features.metrics import Evaluations
from grokpredict.live.monitor import GrokMonitor
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.reading import CONFIGURATION_ALONE, WINDOW_READS
from grokpredict.reporting import EvaluationDisplay, evaluation_text
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep
from grokpredict.training.digest import fingerprint
from grokpredict.training.table import known_runs

#: The classifier of the fixture was trained on seeds below 440.
FRESH = range(1000, 1120)
BOUND = 0.2


def with_channel(own: Run, name: str, curve: Curve) -> Run:
    return replace(own, channels={**own.channels, name: curve})


def fresh(seeds: range = FRESH) -> list[Run]:
    families = ("odd", "even")
    return [
        replace(own, hparams={**own.hparams, "family": families[seed % 2]})
        for seed, own in ((seed, run(seed)) for seed in seeds)
    ]


@pytest.fixture(scope="module")
def found(classifier: GrokClassifier) -> Evaluation:
    return evaluate(Sweep(fresh()), classifier, max_false_abort=BOUND)


def population(runs: list[Run], first: int = HORIZONS[0]) -> Finished:
    return finished(known_runs(Sweep(runs), None, None)[0], first)


def test_a_replay_stops_runs_where_a_monitor_would_have(classifier: GrokClassifier) -> None:
    runs = fresh()
    evaluated = runs[0].channels["val_acc"].steps
    # An evaluation that meets the rule, but does not hold: the monitor leaves the run alone then.
    flicker = np.where(evaluated == 20, 0.99, 0.1)
    runs += [with_channel(own, "val_acc", Curve(evaluated, flicker)) for own in runs[:20]]
    coarse = [Curve(own.loss.steps[1::2], own.loss.values[1::2]) for own in runs[:20]]
    runs += [with_channel(own, "train_loss", c) for own, c in zip(runs, coarse, strict=False)]
    short = Curve(np.arange(50), runs[3].loss.values[:50])
    other_grid = Curve(7 * np.arange(50), runs[3].loss.values[:50])
    runs += [with_channel(runs[3], "train_loss", short)]
    runs += [with_channel(runs[3], "train_loss", other_grid)]
    done = population(runs)
    for reads in WINDOW_READS[:2]:
        own = replay(
            done,
            classifier,
            max_false_abort=BOUND,
            reads=reads,
            name="it",
        )
        stops = own.as_is
        for i, each in enumerate(done.runs.runs):
            told = (
                each
                if "configuration" in reads
                else replace(each, configuration=type(each.configuration)())
            )
            scored = score(told, classifier, max_false_abort=BOUND)
            aborted = scored.verdict.action == "abort"
            if aborted and scored.verdict.horizon >= done.runs.t4[i]:
                continue
            assert stops[i] == (scored.verdict.horizon if aborted else np.inf), each.name
            judged = any(
                look.action in ("continue", "abort") and look.probability is not None
                for look in scored.looks
            )
            if not any("already" in look.reason for look in scored.looks):
                assert own.abstained[i] == (not judged)
        assert np.isfinite(stops).any()
        assert np.isinf(stops[-1])


def evaluated(first: int, every: int = 50) -> Run:
    """A run of 1000 steps, planned for 4000, whose evaluations begin at ``first``."""
    steps = np.arange(first, 4000, every)
    return Run(
        channels={
            "train_loss": Curve(np.arange(1000), 3 * np.exp(-np.arange(1000) / 300)),
            "val_loss": Curve(steps, np.full(steps.size, 1e3)),
            "val_acc": Curve(steps, np.where(steps < 1500, 0.1, 0.99)),
        },
        configuration=Configuration(),
        hparams={"configuration": first},
        max_steps=4000,
        name=f"from {first}, every {every}",
    )


def test_the_first_look_decides_whether_a_replay_reads_the_validation_metrics() -> None:
    never = {(False, 1): np.full(59, 0.05)}  # an abort would be the monitor's last look
    classifier = hand_made(
        grids=((200, 1), (400, 1), (800, 1)), scores=never, validated_scores=never
    )
    runs = [evaluated(0), evaluated(150), evaluated(199), evaluated(250), evaluated(0, every=500)]
    own = replay(
        population(runs, 200),
        classifier,
        max_false_abort=0.05,
        reads=WINDOW_READS[2],
        name="it",
    )
    for i, each in enumerate(runs):
        monitor = GrokMonitor(classifier, budget=4000)
        said = Evaluations.of(each)
        for step, loss in enumerate(each.loss.values):
            for k in np.flatnonzero(said.steps == step):
                monitor.saw_evaluation(said.loss[k], said.accuracy[k])
            monitor.update(loss)
        looks = [verdict.probability for verdict in monitor.verdicts]
        expected = np.array(looks, dtype=float)
        assert own.probability[:, i] == pytest.approx(expected, nan_ok=True), each.name
    assert own.probability[:, 3] == pytest.approx([0.9] * 3)
    assert own.probability[:, 1] == pytest.approx([np.nan, 0.3, 0.3], nan_ok=True)


def test_what_tells_the_outcome_ranks_the_runs_and_the_configuration_does_not(
    found: Evaluation,
) -> None:
    models = {look.model for look in found.looks}
    assert len(models) == 4
    for look in found.looks:
        assert look.auroc.value > 0.85
        assert abs(look.configuration_auroc.value - 0.5) < 0.2
        assert look.lead.low > 0
        assert sum(each.n for each in look.reliability.bins) == look.n_runs
        assert set(look.family_auroc) == {"odd", "even"}
    assert found.overlap == "none"
    counts = found.counts
    assert counts.good + counts.doomed + counts.early == counts.runs == len(FRESH)
    assert counts.configurations == counts.good + counts.doomed


def test_ledgers_hold_what_they_promise(found: Evaluation) -> None:
    own = next(each for each in found.as_is if each.rule == found.headline)
    assert own.saved.value > 0.3
    for ledgers, limit in ((found.matched, own.lost.value), (found.at_bound, BOUND)):
        assert ledgers[0].rule in (found.headline, "this classifier, loss")
        assert all(each.lost.value <= limit for each in ledgers if each.matched)
        assert all(each.lost.value > limit for each in ledgers if not each.matched)
    names = {each.rule for each in found.at_bound}
    assert {"EarlyStopping(val_acc)", "HyperbandPruner", "activity of 80 steps"} <= names
    # In hindsight a rule never saves less than as it is, at the share that it lost.
    for each in found.as_is:
        curve = next(t for t in found.tradeoffs if t.rule == each.rule)
        within = [
            s
            for lost, s in zip(curve.lost, curve.saved, strict=True)
            if lost <= each.lost.value + 1e-4
        ]
        if curve.classifier:
            assert max(within) >= each.saved.value - 1e-4


def test_kinds_of_task_add_up(found: Evaluation) -> None:
    own = next(each for each in found.as_is if each.rule == found.headline)
    assert [each.family for each in found.families] == ["even", "odd"]
    assert sum(each.n_good for each in found.families) == found.counts.good
    assert sum(each.ledger.n_lost for each in found.families) == own.n_lost


def test_runs_that_the_classifier_was_trained_on_say_nothing_about_it(
    classifier: GrokClassifier,
) -> None:
    seen = [run(seed) for seed in range(60)]
    assert set(map(fingerprint, seen)) <= set(classifier.card["trained_on"])
    done, counts, overlap = _population(
        Sweep(seen + [run(seed) for seed in FRESH]), classifier, None
    )
    assert (overlap, counts.seen) == ("some", 60)
    assert len(done) == counts.good + counts.doomed <= len(FRESH)
    alone = evaluate(Sweep(seen), classifier)
    assert alone.overlap == "all"
    assert not any("this classifier" in each.rule for each in alone.as_is)
    assert "TRAINED ON THESE RUNS" in evaluation_text(alone)
    assert _population(Sweep(seen), replace(classifier, card={}), None)[2] == "unknown"


def test_too_few_runs_to_train_on_leave_the_classifier_and_the_rivals(
    classifier: GrokClassifier,
) -> None:
    few = fresh(range(1000, 1009))
    found = evaluate(Sweep(few), classifier)
    assert {each.rule for each in found.as_is} >= {found.headline}
    assert any("10 runs of each outcome" in each for each in found.missing)
    for look in found.looks:
        assert min(look.n_good, look.n_runs - look.n_good) < 5
        assert look.auroc.value is None
    told = next(line for line in evaluation_text(found).splitlines() if "this classifier" in line)
    assert "  -  " in told
    assert json.loads(json.dumps(found.to_dict()))["looks"][0]["auroc"]["value"] is None
    assert all(area.value is None for area in EvaluationDisplay.from_evaluation(found).auroc)
    with pytest.raises(ValueError, match="evaluate it on other runs"):
        evaluate(Sweep([run(seed) for seed in range(12)]), classifier)
    doomed = [own for own in few if own.channels["val_acc"].values[-1] < 0.5]
    with pytest.raises(ValueError, match="0 generalised by their budget"):
        evaluate(Sweep(doomed), classifier)


def test_cross_fitting_finds_nothing_where_there_is_nothing() -> None:
    """Runs of one configuration share their outcome by chance: a leak would show as skill."""
    sweep = planted_sweep(60, signal=0.0, repetitions=2)
    done = population(list(sweep.runs), 200)
    replays = cross_fitted(done, (200, 400), max_false_abort=0.05).replays
    for model in (WINDOW_READS[0], CONFIGURATION_ALONE):
        from grokpredict.training.ranking import auroc

        scores = replays[model].probability[0]
        known = np.isfinite(scores)
        assert 0.3 < auroc(done.good[known], scores[known]) < 0.65


def test_a_folds_threshold_does_not_know_its_own_runs() -> None:
    done = population(list(planted_sweep(160, signal=1.0).runs), 200)
    n = len(done)
    held = np.arange(n) % 2 == 0
    probability = np.random.default_rng(0).uniform(0.2, 1, (2, n))
    strides = np.ones(n, dtype=int)
    splits = [(~held, held), (held, ~held)]
    first = _thresholds(done, strides, splits, probability, 0.2)
    probability[:, held] = 0.01
    second = _thresholds(done, strides, splits, probability, 0.2)
    np.testing.assert_array_equal(first[held], second[held])
    assert (second[~held] == 0.01).all()
    # Fewer than 59 generalising configurations: nothing is ever stopped.
    assert (_thresholds(done, strides, splits, probability, 0.01) == 0).all()


def test_nothing_is_stopped_by_a_classifier_without_calibration_runs() -> None:
    done = population(list(planted_sweep(10).runs), 200)
    own = replay(done, hand_made(), max_false_abort=0.05, reads=WINDOW_READS[3], name="it")
    assert np.isinf(own.as_is).all()
    assert not own.abstained.any()


def write_csv_sweep(folder: Path, runs: list[Run], *, hparams: bool) -> None:
    """A stranger's sweep: Lightning's CSVLogger folders, or bare CSV files."""
    for i, own in enumerate(runs):
        by_name = {
            name: dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
            for name, curve in own.channels.items()
        }
        rows = [
            {"step": step, **{name: values.get(step, "") for name, values in by_name.items()}}
            for step in sorted(set().union(*by_name.values()))
        ]
        place = folder / f"version_{i}" / "metrics.csv" if hparams else folder / f"run{i}.csv"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "train_loss", "val_acc"])
            writer.writeheader()
            writer.writerows(rows)
        if hparams:
            told = {**own.hparams, "max_steps": BUDGET}
            (place.parent / "hparams.yaml").write_text(yaml.safe_dump(told))


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    return done.exit_code, done.stdout, done.stderr


def test_a_strangers_folder_needs_no_other_argument(tmp_path: Path) -> None:
    """Bare CSV files, no configuration: the classifier that comes along, and one of their own."""
    write_csv_sweep(tmp_path, list(planted_sweep(26).runs), hparams=False)
    code, out, err = invoke("evaluate", tmp_path)
    assert (code, err) == (0, "")
    for line in ("this classifier, loss", "trained on these runs, loss", "EarlyStopping(val_acc)"):
        assert line in out
    assert "loss + configuration" not in out
    assert "not shown: the configuration alone needs" in out


def test_the_command_line(tmp_path: Path, short_classifier_file: Path) -> None:
    sweep = tmp_path / "sweep"
    write_csv_sweep(sweep, fresh(range(1000, 1040)), hparams=True)
    (sweep / "broken").mkdir()
    (sweep / "broken" / "metrics.csv").write_text("a,b\n1,2\n")
    picture = tmp_path / "picture.png"
    code, out, err = invoke(
        "evaluate",
        sweep,
        "--classifier",
        short_classifier_file,
        "--json",
        "--plot",
        picture,
        "--max-false-abort",
        "0.2",
        "--budget",
        BUDGET,
    )
    assert code == 0
    document = json.loads(out)
    assert document["counts"]["left_out"] == 1
    assert "left out" in err
    assert document["overlap"] == "none"
    assert {"looks", "families", "as_is", "matched", "at_bound", "tradeoffs"} <= set(document)
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "No file or folder 'nowhere'"),
        (["{sweep}", "--classifier", "nowhere.npz"], "there is no classifier file"),
        (["{sweep}", "--plot", "no/where.png"], "existing folder"),
        (["{sweep}", "--budget", "100000"], "ended before it"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    write_csv_sweep(tmp_path, fresh(range(1000, 1004)), hparams=True)
    code, out, err = invoke("evaluate", *(a.format(sweep=tmp_path) for a in arguments))
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
