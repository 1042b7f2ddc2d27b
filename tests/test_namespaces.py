"""Lightning's two namespaces, each alone and both together, each in a process of its own."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning_namespace import NAMESPACES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent

PROGRAM = """
import logging, sys
hidden = {hidden!r}
if hidden:
    sys.modules[hidden] = None
import torch
torch.set_num_threads(1)
from lightning_runs import DOOMED, QUIET, Follows, batches
from lightning_namespace import NAMESPACE, pl
from grokpredict import GrokPredictor
from short_runs import BUDGET

said = []

class Keeps(logging.Handler):
    def emit(self, record):
        said.append(f"{{record.name}} {{record.getMessage()}}")

logging.getLogger(NAMESPACE).addHandler(Keeps())
predictor = GrokPredictor({classifier!r})
assert isinstance(predictor, pl.Callback)
trainer = pl.Trainer(callbacks=predictor, max_steps=BUDGET, **QUIET)
trainer.fit(Follows(DOOMED), batches())
assert trainer.global_step == predictor.stopped_step == 201, trainer.global_step
loaded = [name for name in ("pytorch_lightning", "lightning") if sys.modules.get(name)]
print(NAMESPACE, loaded, said[-1])
"""


def run(program: str, namespace: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={
            **os.environ,
            "GROKPREDICT_TEST_NAMESPACE": namespace,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("namespace", ["pytorch_lightning", "lightning.pytorch"])
def test_a_doomed_run_is_stopped(namespace: str, alone: bool, short_classifier_file: Path) -> None:
    if namespace not in NAMESPACES or not (alone or len(NAMESPACES) == 2):
        pytest.skip("not installed here")
    packages = ["pytorch_lightning", "lightning"]
    own = namespace.partition(".")[0]
    hidden = next(name for name in packages if name != own) if alone else ""
    done = run(PROGRAM.format(hidden=hidden, classifier=str(short_classifier_file)), namespace)
    assert done.returncode == 0, done.stderr
    expected = [own] if alone else packages
    assert f"{namespace} {expected} {namespace}.grokpredict" in done.stdout
    assert "grokpredict: stopped at step 201: After 200 steps" in done.stdout


@pytest.mark.parametrize("namespace", ["pytorch_lightning", "lightning.pytorch"])
def test_a_lightning_that_was_silenced_stays_silent(namespace: str) -> None:
    """The namespace that is imported last logs for both."""
    if len(NAMESPACES) < 2:
        pytest.skip("not both are installed here")
    program = (
        f"import importlib, logging\npl = importlib.import_module({namespace!r})\n"
        f"logging.getLogger({namespace!r}).setLevel(logging.ERROR)\n"
        "{ours}pl.Trainer(accelerator='cpu', logger=False)\nprint('made')"
    )
    without = run(program.format(ours=""), namespace)
    beside = run(program.format(ours="from grokpredict import GrokPredictor\n"), namespace)
    assert beside.stdout == without.stdout == "made\n", beside.stderr
    assert beside.stderr == without.stderr


def test_installing_changes_neither_progress_bar_nor_logger() -> None:
    """Lightning takes another progress bar where rich is, another logger where tensorboard is."""
    wanted, seen = ["grokpredict"], set()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # of two Lightnings one may be missing
            continue
        for text in required:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                wanted.append(needed.name)
    assert {"torch", "mne", "pytorch-lightning"} <= seen
    assert not seen & {"rich", "tensorboard", "tensorboardx", "litlogger"}


def test_without_any_lightning_it_is_named() -> None:
    program = (
        "import sys; sys.modules.update(pytorch_lightning=None, lightning=None)\n"
        "from grokpredict import GrokPredictor"
    )
    done = run(program, "")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: GrokPredictor needs Lightning: pip install")


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_a_malicious_release_is_not_even_imported(version: str) -> None:
    program = (
        "import importlib.metadata, sys\n"
        f"importlib.metadata.version = lambda name: {version!r}\n"
        "try:\n    from grokpredict import GrokPredictor\n"
        "except ModuleNotFoundError:\n"
        "    print([name for name in ('pytorch_lightning', 'lightning') if name in sys.modules])"
    )
    done = run(program, "")
    assert done.stdout.strip() == "[]", done.stderr
