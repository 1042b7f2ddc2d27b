"""The command line: what it prints where, and with which exit status it ends."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from look_models import looking
from planted import planted_sweep
from pytorch_lightning.loggers import CSVLogger

from grokpredict.cli import main
from grokpredict.logs import write_bundle
from grokpredict.logs.mantissa import round_mantissa
from grokpredict.runs.run import Run

DOCS = Path(__file__).parents[1] / "docs"

#: Before version 8.2 click mixes the two streams unless it is told not to.
_SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """P is 0.1 up to twice the steps so far, 0.9 for longer budgets; runs below 0.5 are stopped."""
    path = tmp_path / "classifier.npz"
    looking("budget_left", [1.0], odds=np.log(9)).save(path)
    return path


@pytest.fixture
def loss_csv(tmp_path: Path) -> Path:
    path = tmp_path / "loss.csv"
    write_csv(path, np.exp(-np.arange(500) / 200))
    return path


def write_csv(path: Path, losses: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses.tolist()))
    path.write_text("step,train_loss\n" + rows)


def run(*arguments: object, stdin: str | None = None) -> Result:
    result = CliRunner(**_SEPARATE).invoke(main, [str(each) for each in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def scored(*arguments: object, stdin: str | None = None) -> list[dict]:
    result = run("score", *arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_every_look_is_there(classifier: Path, loss_csv: Path) -> None:
    (each,) = scored(loss_csv, "--classifier", classifier, "--budget", 4000)
    assert each["path"] == str(loss_csv)
    assert (each["steps"], each["horizon"], each["budget"]) == (500, 400, 4000)
    assert (each["verdict"], each["threshold"]) == ("continue", 0.5)
    assert each["probability"] == pytest.approx(0.9)
    assert [look["horizon"] for look in each["looks"]] == [200, 282, 400]
    assert each["looks"][0]["probability"] == pytest.approx(0.9)
    assert (each["reads"], each["missing"][0]) == (["train_loss", "spectrum"], "val_loss")
    # The last bin of the look after 400 steps.
    level = np.log10(np.exp(-np.arange(336, 400) / 200)).mean()
    assert each["features"]["train_loss_level"] == pytest.approx(level, abs=0.02)


def test_an_abort_ends_the_looks_and_the_exit_status_can_tell(
    classifier: Path, loss_csv: Path
) -> None:
    options = (loss_csv, "--classifier", classifier, "--budget", 500)
    (each,) = scored(*options)
    assert (each["verdict"], each["horizon"]) == ("abort", 282)
    assert len(each["looks"]) == 2
    assert run("score", *options, "--fail-on-abort").exit_code == 3
    going_on = (loss_csv, "--classifier", classifier, "--budget", 4000, "--fail-on-abort")
    assert run("score", *going_on).exit_code == 0


def test_the_bound_can_be_asked_for(classifier: Path, loss_csv: Path) -> None:
    options = (loss_csv, "--classifier", classifier, "--budget", 500)
    (each,) = scored(*options, "--max-false-abort", 0.001)
    assert (each["verdict"], each["threshold"]) == ("continue", None)


def test_text_for_people(classifier: Path, loss_csv: Path) -> None:
    text = run("score", loss_csv, "--classifier", classifier, "--budget", 500).stdout
    for word in (
        str(loss_csv),
        "abort, P = 0.100",
        "282: 0.100",
        "aborts below 0.500",
        "train_loss_level",
        "read: train_loss, spectrum; missing: val_loss, train_acc, val_acc, weight_norm",
    ):
        assert word in text


def test_without_validation_the_built_in_classifier_stops_nothing_and_says_why(
    loss_csv: Path,
) -> None:
    (each,) = scored(loss_csv, "--budget", 4000)
    assert 0 < each["probability"] < 1
    assert (each["verdict"], each["threshold"]) == ("continue", None)
    assert "without a validation loss or accuracy; log one, or calibrate" in each["reason"]


def test_a_name_that_a_terminal_would_obey_is_escaped(classifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.csv"
    write_csv(path, np.exp(-np.arange(300) / 200))
    text = run("score", path, "--classifier", classifier).stdout
    assert "a\\x1b[31m\\nb.csv" in text
    assert "\x1b" not in text


def test_many_runs_get_a_line_each(classifier: Path, tmp_path: Path) -> None:
    losses = np.exp(-np.arange(250) / 100)
    bundle = tmp_path / "many.npz"
    write_bundle(bundle, channels={"train_loss": (np.arange(250), np.tile(losses, (7, 1)))})
    lines = run("score", bundle, "--classifier", classifier).stdout.splitlines()
    assert len(lines) == 10
    # What is said of the budget is said once, and its number on every line.
    assert all(line.endswith("continue [1]") for line in lines[1:8])
    assert lines[8].startswith("[1] budget: the default")
    assert lines[-1] == "7 runs: 7 continue"


def test_the_budget_is_asked_for_then_planned_then_ten_thousand(
    classifier: Path, loss_csv: Path, tmp_path: Path
) -> None:
    budget = lambda *options: scored(loss_csv, "--classifier", classifier, *options)[0]["budget"]  # noqa: E731
    assert budget() == 10_000
    (tmp_path / "loss.yaml").write_text("max_steps: 3000\n")
    assert budget() == 3000
    (tmp_path / "other.json").write_text('{"max_steps": 2000}')
    assert budget("--hparams", tmp_path / "other.json") == 2000
    assert budget("--hparams", tmp_path / "other.json", "--budget", 1500) == 1500


def test_the_same_run_scores_the_same_however_it_was_logged(
    short_classifier_file: Path, tmp_path: Path
) -> None:
    losses = round_mantissa(np.exp(-np.arange(320) / 90) * (1 + 0.1 * np.sin(np.arange(320))))
    hparams = {"lr": 0.003, "weight_decay": 0.1, "optimizer": "adamw", "max_steps": 400}
    logger = CSVLogger(tmp_path / "lightning", flush_logs_every_n_steps=1000)
    logger.log_hyperparams(hparams)
    for step, loss in enumerate(losses.tolist()):
        logger.log_metrics({"train_loss": loss, "epoch": 0}, step)
    logger.save()
    bundle = tmp_path / "b.npz"
    write_bundle(bundle, channels={"train_loss": (np.arange(320), losses[None])}, hparams=[hparams])
    write_csv(tmp_path / "plain" / "loss.csv", losses)
    (tmp_path / "plain" / "loss.json").write_text(json.dumps(hparams))
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(losses.tolist())]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [hparams, *rows])))
    paths = [tmp_path / "lightning", bundle, tmp_path / "plain", tmp_path / "a.jsonl"]
    scores = scored(*paths, "--classifier", short_classifier_file)
    assert len(scores) == 4
    assert len(scores[0]["looks"]) == 2
    assert scores[0]["features"]["train_loss_level"] < 0
    for other in scores[1:]:
        assert {**other, "path": ""} == {**scores[0], "path": ""}


def test_standard_input(classifier: Path, loss_csv: Path) -> None:
    (each,) = scored("-", "--classifier", classifier, stdin=loss_csv.read_text())
    assert each["path"] == "standard input"
    assert each["horizon"] == 400


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        (100, (), "The run has 100 steps, but the first look is after 200"),
        (
            500,
            ("--budget", 150),
            "but the budget of this run is 150",
        ),
    ],
)
def test_a_run_that_cannot_be_judged_is_left_alone(
    classifier: Path, tmp_path: Path, rows: int, options: tuple, reason: str
) -> None:
    write_csv(tmp_path / "r.csv", np.exp(-np.arange(rows) / 200))
    (each,) = scored(tmp_path / "r.csv", "--classifier", classifier, *options)
    assert (each["verdict"], each["probability"], each["looks"]) == ("abstain", None, [])
    assert reason in each["reason"]


@pytest.mark.parametrize("stride", [1, 7, 10, 50])
def test_any_cadence(classifier: Path, tmp_path: Path, stride: int) -> None:
    rows = "".join(f"{step},{2 - step / 900}\n" for step in range(stride - 1, 800, stride))
    (tmp_path / "r.csv").write_text("step,loss\n" + rows)
    (each,) = scored(tmp_path / "r.csv", "--classifier", classifier)
    assert each["horizon"] == (565 if stride == 7 else 800)
    assert each["probability"] is not None


def test_a_gap_is_no_end(classifier: Path, tmp_path: Path) -> None:
    rows = "".join(f"{step},1.{step}\n" for step in range(600) if step != 300)
    (tmp_path / "r.csv").write_text("step,loss\n" + rows)
    (each,) = scored(tmp_path / "r.csv", "--classifier", classifier)
    assert [look["horizon"] for look in each["looks"]] == [200, 282, 400, 565]


def test_a_run_that_has_generalised_is_left_alone(classifier: Path, tmp_path: Path) -> None:
    rows = "".join(f"{step},{2 - step / 900},{99 if step >= 150 else 5}\n" for step in range(500))
    (tmp_path / "r.csv").write_text("step,loss,val_acc\n" + rows)
    (each,) = scored(tmp_path / "r.csv", "--classifier", classifier, "--budget", 1000)
    assert each["verdict"] == "continue"
    assert "generalised already" in each["reason"]


BAD_LOGS = {
    "missing": None,
    "empty": "",
    "one row": "step,loss\n0,1\n",
    "text": "step,loss\n0,1\n1,oops\n",
    "prose": "This is a letter.\nIt has two lines.\n",
    "binary": "\0\1\2",
    "resumed": "step,loss\n500,1\n501,1\n",
}


@pytest.mark.parametrize("content", BAD_LOGS.values(), ids=BAD_LOGS.keys())
def test_bad_logs_end_with_one_sentence(
    classifier: Path, loss_csv: Path, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "bad.csv"
    if content is not None:
        path.write_text(content)
    before = sorted(tmp_path.iterdir())
    plot = tmp_path / "plot.png"
    result = run("score", loss_csv, path, "--classifier", classifier)
    assert_one_sentence(result)
    assert_one_sentence(run("score", path, "--classifier", classifier, "--plot", plot))
    assert sorted(tmp_path.iterdir()) == before


def assert_one_sentence(result: Result) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("content", [None, "", "text", "folder", "bundle"])
def test_what_is_no_classifier(loss_csv: Path, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "other.npz"
    if content == "folder":
        path.mkdir()
    elif content == "bundle":
        write_bundle(path, channels={"train_loss": (np.arange(9), np.ones((1, 9)))})
    elif content is not None:
        path.write_text(content)
    assert_one_sentence(run("score", loss_csv, "--classifier", path))


@pytest.mark.parametrize(
    "options",
    [
        ("--hparams", "nope.yaml"),
        ("--loss-column", "nope"),
        ("--plot", "no/such/folder.png"),
        ("--plot", "figure.nonsense"),
    ],
)
def test_bad_options_of_score(classifier: Path, loss_csv: Path, options: tuple) -> None:
    assert_one_sentence(run("score", loss_csv, "--classifier", classifier, *options))


def test_a_folder_is_scored_without_its_bad_runs(
    classifier: Path, loss_csv: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    write_csv(folder / "good.csv", np.exp(-np.arange(300) / 200))
    (folder / "bad.csv").write_text("step,loss\n0,1\n1,oops\n")
    result = run("score", folder, "--classifier", classifier, "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 1
    assert re.fullmatch(r"left out: [^\n]*line 3 of [^\n]*bad.csv[^\n]*\n", result.stderr)


def test_plot(classifier: Path, loss_csv: Path, tmp_path: Path) -> None:
    plot = tmp_path / "figure.png"
    assert run("score", loss_csv, "--classifier", classifier, "--plot", plot).exit_code == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    two = run("score", loss_csv, loss_csv, "--classifier", classifier, "--plot", plot)
    assert_one_sentence(two)
    assert "one run" in two.stderr


def as_bundle(path: Path, runs: list[Run]) -> None:
    channels = {
        name: (
            runs[0].channels[name].steps,
            np.stack([each.channels[name].values for each in runs]),
        )
        for name in ("train_loss", "val_acc")
    }
    write_bundle(
        path,
        channels=channels,
        hparams=[{**each.hparams, "optimizer": "adamw", "max_steps": 4000} for each in runs],
    )


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    runs = list(planted_sweep(60, steps=600, stride=5).runs)
    as_bundle(folder / "planted.npz", runs)
    for i in range(3):
        (folder / f"bad{i}.csv").write_text("step,loss\n0,1\n1,oops\n")
    return folder


def test_training_and_then_scoring(sweep: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.npz"
    result = run("train-classifier", sweep, "-o", output)
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert re.search(r"^63 runs found$", text, re.M)
    assert re.search(r"^ +3  could not be read$", text, re.M)
    assert re.search(r"^ +3  column 'loss' must hold numbers, line 3 of .*bad0.csv", text, re.M)
    assert re.search(r"^ +400  training loss +\d+ +\d+  [01]\.\d{3} \[", text, re.M)
    assert re.match(r"\d\d good runs of 59: this classifier never stops a run at 5 %", text)
    assert "`grokpredict calibrate` on the same runs keeps the built-in model" in text
    assert "configuration only" in text
    assert text.endswith(f"Classifier written to {output}.\n")
    (each, *_) = scored(sweep / "planted.npz", "--classifier", output)
    assert each["looks"][0]["horizon"] == 200
    assert any("val_acc" in look["reads"] for look in each["looks"])


def test_training_as_json(sweep: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.npz"
    result = run("train-classifier", sweep, "-o", output, "--json")
    told = json.loads(result.stdout)
    assert told["classifier"] == str(output)
    assert told["counts"]["runs"] == 63
    assert told["left_out"][0]["runs"] == 3
    assert {figures["step"] for figures in told["figures"]} >= {200, 400}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (("--budget", 100_000), "usable"),
        (("-o", "no/such/folder.npz"), "existing folder"),
    ],
)
def test_training_that_fails_writes_nothing(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple, rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("train-classifier", sweep, *options)
    assert_one_sentence(result)
    assert rule in result.stderr
    assert not list(tmp_path.iterdir())


def test_making_a_sweep(tmp_path: Path) -> None:
    assert_one_sentence(run("sweep", "nonsense", "-o", tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_help_of_sweep_names_every_family_with_its_source() -> None:
    from grokpredict.sweeps.families import FAMILIES

    text = " ".join(run("sweep", "--help").stdout.split())
    assert len(FAMILIES) > 40
    for family in FAMILIES.values():
        assert f" {family.name} {family.source}" in text


def test_every_option_stands_in_the_documentation() -> None:
    text = (DOCS / "cli.md").read_text()
    for name, command in main.commands.items():
        assert f"## {name}" in text
        section = text.split(f"## {name}")[1].split("\n## ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    assert f"`{option}" in section, f"{name} {option}"
            else:
                assert parameter.metavar.strip("[].") in section
