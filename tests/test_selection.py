"""One run of a bundle by its name, and results as tables."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from short_runs import BUDGET, run

from grokpredict import LogError, read_run, write_bundle
from grokpredict.cli import main

NAMES = [f"mod-{i:02}" for i in range(12)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "runs.npz"
    runs = [run(1000 + i) for i in range(len(NAMES))]
    channels = {
        name: (runs[0].channels[name].steps, [own.channels[name].values for own in runs])
        for name in ("train_loss", "val_acc")
    }
    hparams = [{**own.hparams, "max_steps": BUDGET} for own in runs]
    write_bundle(path, channels=channels, hparams=hparams, names=NAMES)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_run_in_a_bundle_is_read_by_its_name(bundle: Path) -> None:
    own = read_run(f"{bundle}::mod-07")
    assert own.name == f"{bundle}[mod-07]"
    assert own.hparams["configuration"] == 1007
    with pytest.raises(LogError, match=r"no run 'mod-7', only mod-00, .*, mod-04 and 7 more"):
        read_run(f"{bundle}::mod-7")
    with pytest.raises(LogError, match=r"holds 12 runs, not one; name one as .*::NAME"):
        read_run(bundle)


def test_a_file_whose_name_has_the_mark_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a::b.csv"
    path.write_text("step,train_loss\n" + "".join(f"{i},{1 / (i + 1)}\n" for i in range(50)))
    assert read_run(path).name == str(path)


def test_the_command_scores_one_run_of_a_bundle(bundle: Path, short_classifier_file: Path) -> None:
    options = ("--classifier", short_classifier_file)
    (one,) = json.loads(call("score", f"{bundle}::mod-03", *options, "--json").stdout)
    everything = json.loads(call("score", bundle, *options, "--format", "json").stdout)
    assert len(everything) == len(NAMES)
    assert one == everything[3]
    missing = call("score", f"{bundle}::nothing", *options)
    assert missing.exit_code == 2
    assert missing.stderr.startswith("Error: there is no run 'nothing'")


def test_scores_as_csv_are_the_table_of_to_pandas(
    bundle: Path, short_classifier_file: Path
) -> None:
    from grokpredict import score_sweep

    result = call("score", bundle, "--classifier", short_classifier_file, "--format", "csv")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    table = score_sweep(bundle, str(short_classifier_file)).to_pandas()
    assert list(rows[0]) == table.columns.tolist()
    assert [row["run"] for row in rows] == table["run"].tolist()
    assert [row["reason"] for row in rows] == table["reason"].tolist()  # with commas in them
    stopped = [None if row["stopped"] == "" else int(row["stopped"]) for row in rows]
    assert any(stopped)
    assert stopped == table["stopped"].astype(object).where(table["stopped"].notna(), None).tolist()


def test_an_evaluation_as_csv_has_a_line_a_rule(bundle: Path, short_classifier_file: Path) -> None:
    result = call("evaluate", bundle, "--classifier", short_classifier_file, "--format", "csv")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["chosen"] for row in rows} == {"as it is", "to lose no more", "within the bound"}
    for row in rows:
        assert float(row["lost"]) == int(row["n_lost"]) / int(row["n_good"])
