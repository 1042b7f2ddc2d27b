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
from look_models import looking
from planted import planted_sweep
from short_runs import BUDGET, run

from grokpredict.cli import main
from grokpredict.evaluation import Evaluation, evaluate
from grokpredict.evaluation.accounting import Finished, finished
from grokpredict.evaluation.crossfit import _thresholds, cross_fitted
from grokpredict.evaluation.looks import LOSS_ALONE, alike, chosen, past_looks
from grokpredict.evaluation.population import population_of
from grokpredict.evaluation.replay import Replay, replay
from grokpredict.evaluation.scoring import score
from grokpredict.features.profile import FIRST_LOOK
from grokpredict.model.classifier import GrokClassifier
from grokpredict.reporting import EvaluationDisplay, evaluation_text
from grokpredict.runs.curve import Curve
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep
from grokpredict.training.outcomes import known_runs
from grokpredict.training.ranking import auroc
from grokpredict.training.record import fingerprint

#: The classifier of the fixture was trained on seeds below 60.
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


def known(runs: list[Run]) -> Finished:
    return finished(known_runs(Sweep(runs), None, None)[0], FIRST_LOOK)


def replayed(done: Finished, classifier: GrokClassifier, bound: float) -> Replay:
    looks = past_looks(done, classifier.rule)
    choice = chosen(
        looks,
        lambda readable: classifier.reads(readable, bound),
        lambda reads, step: classifier.threshold(reads, bound, step) is not None,
    )
    return replay(looks, choice, classifier, max_false_abort=bound, name="it")


def every(own: Run, n: int, *names: str) -> Run:
    """A run of which some channels have every n-th sample only."""
    thinned = {
        name: Curve(own.channels[name].steps[n - 1 :: n], own.channels[name].values[n - 1 :: n])
        for name in names
    }
    return replace(own, channels={**own.channels, **thinned})


def with_loss(own: Run, start: int = 0) -> Run:
    """A run with a validation loss too, evaluated from ``start`` on."""
    steps = np.arange(start, BUDGET, 25)
    return with_channel(own, "val_loss", Curve(steps, np.full(steps.size, 1.0)))


def test_a_replay_says_of_every_look_what_a_monitor_would_have() -> None:
    runs = fresh()
    evaluated = runs[0].channels["val_acc"].steps
    # An evaluation that meets the rule, but does not hold: the monitor leaves the run alone then.
    flicker = np.where(evaluated == 180, 0.99, 0.1)
    runs += [with_channel(own, "val_acc", Curve(evaluated, flicker)) for own in runs[:20]]
    runs += [every(own, 20, "train_loss") for own in runs[:20]]
    runs += [every(own, 3, "val_acc") for own in runs[:20]]  # six of them by step 360
    runs += [with_loss(every(own, 3, "val_acc"), 100) for own in runs[:20]]
    short = Curve(np.arange(230), runs[3].loss.values[:230])
    runs += [with_channel(runs[3], "train_loss", short)]
    done = known(runs)
    for classifier in (
        looking("train_loss_level", np.linspace(-1.3, -1.15, 4)),
        looking("train_loss_level", np.linspace(-1.3, -1.15, 4), stops=[("train_loss", "val_acc")]),
        looking("train_loss_level", np.linspace(-1.3, -1.15, 4), reach=1.2),
    ):
        own = replayed(done, classifier, BOUND)
        for i, each in enumerate(done.runs.runs):
            scored = score(each, classifier, max_false_abort=BOUND)
            for look in scored.looks:
                if look.horizon >= done.runs.t4[i]:
                    break
                row = own.horizons.index(look.horizon)
                expected = np.nan if look.probability is None else look.probability
                np.testing.assert_equal(own.probability[row, i], expected)
                if look.probability is not None:
                    assert own.strange[row, i] == (look.action == "abstain")
                    assert own.threshold[row, i] == (look.threshold or 0.0), each.name
            aborted = scored.verdict.action == "abort" and scored.verdict.horizon < done.runs.t4[i]
            assert own.as_is[i] == (scored.verdict.horizon if aborted else np.inf), each.name
        assert np.isfinite(own.probability).sum() > 200


def test_what_tells_the_outcome_ranks_the_runs_and_the_configuration_does_not(
    found: Evaluation,
) -> None:
    models = {look.model for look in found.looks}
    assert len(models) == 4
    for look in found.looks:
        assert look.horizon == 200  # one look an octave
        assert look.auroc.value > 0.85
        assert abs(look.configuration_auroc.value - 0.5) < 0.2
        assert look.lead.low > 0
        assert sum(each.n for each in look.reliability.bins) == look.n_runs
        assert set(look.family_auroc) == {"odd", "even"}
    assert found.overlap == "none"
    counts = found.counts
    assert counts.good + counts.doomed + counts.early == counts.runs == len(FRESH)
    assert found.channels == {"train_loss, val_acc, spectrum": counts.good + counts.doomed}
    assert "read: train_loss, val_acc" in evaluation_text(found)
    assert counts.configurations == counts.good + counts.doomed


def test_accounts_hold_what_they_promise(found: Evaluation) -> None:
    own = next(each for each in found.as_is if each.rule == found.headline)
    assert own.saved.value > 0.3
    for accounts, limit in ((found.matched, own.lost.value), (found.at_bound, BOUND)):
        assert accounts[0].rule in (found.headline, "this classifier, loss alone")
        assert all(each.lost.value <= limit for each in accounts if each.matched)
        assert all(each.lost.value > limit for each in accounts if not each.matched)
    rivals = {"EarlyStopping(val_acc)", "last value, SureStop's rule", "i-Epoch", "HyperbandPruner"}
    # Each has a row with nothing chosen on the runs that it stops, and rows in hindsight.
    for accounts in (found.as_is, found.matched, found.at_bound):
        assert {"configuration alone", *rivals} <= {each.rule for each in accounts}
    assert max(map(len, evaluation_text(found).splitlines())) <= 100
    # In hindsight a rule never saves less than as it is, at the share that it lost.
    for each in found.as_is:
        curve = next(t for t in found.tradeoffs if t.rule == each.rule)
        within = [
            s
            for lost, s in zip(curve.lost, curve.saved, strict=True)
            if lost <= each.lost.value + 1e-4
        ]
        # One retrained on these runs has a threshold a fold.
        if curve.classifier and each.rule.startswith("this classifier"):
            assert max(within) >= each.saved.value - 1e-4


def test_kinds_of_task_add_up(found: Evaluation) -> None:
    own = next(each for each in found.as_is if each.rule == found.headline)
    assert [each.family for each in found.families] == ["even", "odd"]
    assert sum(each.n_good for each in found.families) == found.counts.good
    assert sum(each.account.n_lost for each in found.families) == own.n_lost


def test_runs_that_the_classifier_was_trained_on_say_nothing_about_it(
    classifier: GrokClassifier,
) -> None:
    seen = [run(seed) for seed in range(60)]
    assert {fingerprint(own.configuration_key) for own in seen} <= set(
        classifier.card["trained_on"]
    )
    both = population_of(Sweep(seen + [run(seed) for seed in FRESH]), classifier, None)
    assert (both.overlap, both.counts.seen) == ("some", 60)
    assert len(both.done) == both.counts.good + both.counts.doomed <= len(FRESH)
    alone = evaluate(Sweep(seen), classifier)
    assert alone.overlap == "all"
    assert not any("this classifier" in each.rule for each in alone.as_is)
    assert "TRAINED ON THESE RUNS" in evaluation_text(alone)
    assert population_of(Sweep(seen), replace(classifier, card={}), None).overlap == "unknown"


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
    areas = evaluation_text(found).split("AUROC by look")[1].splitlines()
    row = areas[areas.index("this classifier, all channels:") + 2]
    assert row.split()[2:-1] == ["4", "-", "-", "-", "0.018", "0.0"]
    assert json.loads(json.dumps(found.to_dict()))["looks"][0]["auroc"]["value"] is None
    assert all(area.value is None for area in EvaluationDisplay.from_evaluation(found).auroc)
    with pytest.raises(ValueError, match="evaluate it on other runs"):
        evaluate(Sweep([run(seed) for seed in range(12)]), classifier)
    doomed = [own for own in few if own.channels["val_acc"].values[-1] < 0.5]
    with pytest.raises(ValueError, match="0 generalised by their budget"):
        evaluate(Sweep(doomed), classifier)


def test_runs_that_no_look_could_read_are_counted_apart(classifier: GrokClassifier) -> None:
    runs = fresh()
    coarse = [every(own, 90, "train_loss") for own in runs[:30]]
    found = population_of(Sweep([*runs[30:], *coarse]), classifier, None)
    assert found.counts.never_looked_at + found.counts.early > 20
    assert found.counts.never_looked_at > 5
    assert len(found.done) == found.counts.good + found.counts.doomed
    assert found.looks.looked_at.all()


def test_cross_fitting_finds_nothing_where_there_is_nothing() -> None:
    """Runs of one configuration share their outcome by chance: a leak would show as skill."""
    sweep = planted_sweep(60, signal=0.0, repetitions=2)
    done = known(list(sweep.runs))
    looks = past_looks(done, LabelRule())
    found = cross_fitted(done, looks, max_false_abort=0.05)
    assert found.configuration is not None
    for model in (found.replays[0], found.configuration):
        scores = model.probability[0]
        scored = np.isfinite(scores)
        assert 0.3 < auroc(done.good[scored], scores[scored]) < 0.65


def test_cross_fitting_finds_what_is_there() -> None:
    done = known(fresh())
    found = cross_fitted(done, past_looks(done, LabelRule()), max_false_abort=BOUND)
    assert [own.name.split(", ")[1] for own in found.replays] == ["loss alone", "all channels"]
    for model in found.replays:
        scores = model.probability[0]
        assert auroc(done.good, scores) > 0.85
        assert np.isfinite(model.as_is[~done.good]).mean() > 0.2


def test_a_folds_threshold_does_not_know_its_own_runs() -> None:
    done = known(list(planted_sweep(160, signal=1.0).runs))
    n = len(done)
    held = np.arange(n) % 2 == 0
    lowest = np.random.default_rng(0).uniform(0.2, 1, n)
    splits = [(~held, held), (held, ~held)]
    first = _thresholds(done, splits, lowest, 0.2)
    lowest[held] = 0.01
    second = _thresholds(done, splits, lowest, 0.2)
    np.testing.assert_array_equal(first[held], second[held])
    assert (second[~held] == 0.01).all()
    # Fewer than 59 generalising configurations: nothing is ever stopped.
    assert (_thresholds(done, splits, lowest, 0.01) == 0).all()


def test_nothing_is_stopped_by_a_classifier_without_calibration_runs() -> None:
    done = known(fresh(range(1000, 1020)))
    classifier = looking("train_loss_level", [9.0], stops=[])
    own = replayed(done, classifier, 0.05)
    assert np.isinf(own.as_is).all()
    assert not own.abstained.any()
    looks = past_looks(done, classifier.rule)
    choice = alike(looks, LOSS_ALONE)
    alone = replay(looks, choice, classifier, max_false_abort=0.05, name="loss")
    assert not alone.abstained.any()


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
    # On a slow machine a line of progress every 30 s, and nothing else.
    assert all(line.startswith("replaying: ") for line in err.splitlines())
    assert code == 0
    for line in (
        "this classifier, loss alone",
        "this classifier, all channels",
        "retrained, loss alone",
        "EarlyStopping(val_acc)",
    ):
        assert line in out
    assert "not shown: the configuration alone needs" in out
    assert max(map(len, out.splitlines())) <= 100


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
