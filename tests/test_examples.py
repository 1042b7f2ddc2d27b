"""The examples, as a user runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lightning_namespace import NAMESPACES
from short_runs import BUDGET, run

from grokpredict.logs import write_bundle
from grokpredict.model.classifier import GrokClassifier

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("example", "arguments", "said"),
    [
        ("abort_one_run.py", ["--max-steps", "300"], "step 200: "),
        ("plain_loop.py", ["--max-steps", "300"], "step 200: "),
        ("fabric_loop.py", ["--max-steps", "300"], "step 200: "),
        (
            "optuna_sweep.py",
            ["--max-steps", "300", "--trials", "2", "--check"],
            "pruned runs generalise if they are trained to the end",
        ),
        ("score_csv.py", ["--budget", "400"], "P(generalises by 400)"),
    ],
)
def test_example(
    short_classifier_file: Path, example: str, arguments: list[str], said: str, tmp_path: Path
) -> None:
    assert said in output_of(example, short_classifier_file, tmp_path, *arguments)


@pytest.mark.parametrize(
    ("example", "said", "figures"),
    [
        ("ravines.py", "lambda_max / lambda_min at the minimum 2508", ["ravines"]),
        ("musat.py", "cosine with - theta on the null space", ["musat"]),
        ("omnigrok.py", "w_c = ", ["omnigrok"]),
        ("notsawo.py", "lambda_max went from", ["notsawo-30", "notsawo-80", "notsawo-changes"]),
    ],
)
def test_example_of_a_paper(example: str, said: str, figures: list[str], tmp_path: Path) -> None:
    assert said in example_output(example, tmp_path, "--quick")
    for name in figures:
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_example_of_a_diagnosis(tmp_path: Path) -> None:
    said = example_output("diagnose_demo.py", tmp_path, "--max-steps", "40")
    assert said.count("lambda_max went from") == 2
    assert (tmp_path / "diagnose-grokked.png").exists()


def test_example_of_two_runs(tmp_path: Path) -> None:
    said = example_output("two_runs.py", tmp_path, "--max-steps", "250")
    assert said.count("step 200: ") == 2
    assert (tmp_path / "two-runs.png").stat().st_size > 10_000


def test_example_of_training(tmp_path: Path) -> None:
    runs = [run(seed) for seed in range(160)]
    channels = {
        name: (runs[0].channels[name].steps, [own.channels[name].values for own in runs])
        for name in ("train_loss", "val_acc")
    }
    hparams = [{**own.hparams, "max_steps": BUDGET} for own in runs]
    write_bundle(tmp_path / "sweep.npz", channels=channels, hparams=hparams)
    arguments = ["-o", "own.npz", "--max-false-abort", "0.1"]
    said = example_output(
        "train_on_own_sweep.py", tmp_path, str(tmp_path / "sweep.npz"), *arguments
    )
    assert re.search(r"^\d+ runs generalised, \d+ did not$", said, re.MULTILINE)
    assert "\nstep 200: " in said
    assert GrokClassifier.load(tmp_path / "own.npz").calibrations


def output_of(example: str, classifier_file: Path, folder: Path, *arguments: str) -> str:
    return example_output(example, folder, "--classifier", str(classifier_file), *arguments)


def example_output(example: str, folder: Path, *arguments: str) -> str:
    if "pytorch_lightning" not in NAMESPACES:
        pytest.skip("the examples import pytorch_lightning")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fabric_on_two_processes_stops_or_goes_on_in_both(
    short_classifier_file: Path, tmp_path: Path
) -> None:
    """The full batch is halved between the processes: it trains as one process does."""
    arguments = ["--max-steps", "300"]
    alone = output_of("fabric_loop.py", short_classifier_file, tmp_path, *arguments)
    both = output_of(
        "fabric_loop.py", short_classifier_file, tmp_path, *arguments, "--devices", "2"
    )
    looks = sorted(line for line in both.splitlines() if line.startswith("step"))
    # Both write to one pipe: the line of one may end up behind that of the other.
    ends = sorted(re.findall(r"process \d [a-z ]*\d+ of \d+ steps", both))
    alone_looks = [line for line in alone.splitlines() if line.startswith("step")]
    (end,) = (line for line in alone.splitlines() if line.startswith("process 0"))
    assert looks == sorted(alone_looks)
    assert ends == [end, end.replace("process 0", "process 1")]
