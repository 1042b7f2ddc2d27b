"""``diagnose``: from logs, from snapshots and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from grokpredict import Configuration, Curve, Run, TrajectoryProbe, diagnose
from grokpredict.cli import main
from grokpredict.diagnosis.run import diagnose_run
from grokpredict.diagnosis.snapshots import Snapshot, read_checkpoint
from grokpredict.reporting import (
    diagnosis_figure,
    diagnosis_text,
    run_diagnosis_figure,
    run_diagnosis_text,
)
from grokpredict.runs.labels import Phase

FACTORY = """
import torch
from torch import nn

def batches():
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    inputs = nn.functional.one_hot(pairs, 7).flatten(1).float()
    order = torch.randperm(49, generator=torch.Generator().manual_seed(0))
    targets = pairs.sum(dim=1) % 7
    return (inputs[order[:34]], targets[order[:34]]), (inputs[order[34:]], targets[order[34:]])

def made():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(14, 12), nn.ReLU(), nn.Linear(12, 7))

def everything():
    return made(), nn.CrossEntropyLoss(), *batches()

def nothing():
    return None
"""


def grokked(**channels: Curve) -> Run:
    """Memorises at 300, generalises at 900; its norm falls from 60 to 30."""
    steps = np.arange(0, 1001, 50)
    told = {
        "train_loss": Curve(np.arange(1000), np.exp(-np.arange(1000) / 200)),
        "train_acc": Curve(steps, np.clip(steps / 300, 0, 1)),
        "val_acc": Curve(steps, np.clip((steps - 800) / 100, 0, 1)),
        "weight_norm": Curve(steps, 60.0 - 0.03 * steps),
        "grad_norm": Curve(steps, np.exp(-steps / 200)),
    }
    configuration = Configuration("adamw", 1e-3, 0.1)
    return Run({**told, **channels}, configuration, max_steps=4000, name="made")


def test_logs_alone_tell_phases_slingshots_and_the_clock() -> None:
    found = diagnose_run(grokked(), goldilocks=10.0)
    assert (found.times.t1, found.times.t2, found.times.t3, found.times.t4) == (50, 300, 850, 900)
    assert (found.delay, found.phase, found.t4_whole) == (600, Phase.GROKKING, 900)
    assert found.slingshots == []
    assert found.clock is not None
    assert found.clock.left == pytest.approx(1e-4 * 3000)
    assert found.clock.needed == pytest.approx(np.log(3.0))
    text = run_diagnosis_text(found)
    assert text.startswith("made: grokked: it generalised 600 steps after it had memorised.\n")
    assert "reached 100 % at step 300 (t2)" in text
    assert (
        "The norm is 3 times w_c = 10, and learning rate x weight decay x remaining steps is 0.3; "
        "ln 3 = 1.1 is needed: too little for weight decay alone." in text
    )
    assert "A checkpoint would add curvature" in text


def test_a_slingshot_of_the_logs_is_confirmed_by_the_gradient() -> None:
    steps = np.arange(0, 1001, 50)
    loss = np.exp(-np.arange(1000) / 200)
    loss[700:704] *= 30
    gradient = np.exp(-steps / 200) * np.where(steps == 700, 40, 1)
    norm = np.cumsum(np.where(steps == 750, 5.0, 0.1)) + 10
    channels = {
        "train_loss": Curve(np.arange(1000), loss),
        "grad_norm": Curve(steps, gradient),
        "weight_norm": Curve(steps, norm),
    }
    found = diagnose_run(grokked(**channels))
    assert found.slingshots is not None
    (one,) = found.slingshots
    assert 700 <= one.step < 704
    assert one.confirmed_by == ("gradient", "weight norm")
    assert "One slingshot, at step 70" in run_diagnosis_text(found)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (("train_acc",), "No training accuracy was logged: t1, t2 and the phase are unknown."),
        (("val_acc",), "No val_acc was logged: t3 and t4 are unknown."),
        (("weight_norm",), "No weight norm was logged (TrajectoryProbe logs it)."),
        (("weight_norm", "grad_norm"), "Slingshots cannot be told: neither gradient nor weight"),
    ],
)
def test_what_was_not_logged_is_said(missing: tuple[str, ...], sentence: str) -> None:
    run = grokked()
    kept = {name: curve for name, curve in run.channels.items() if name not in missing}
    found = diagnose_run(Run(kept, run.configuration, max_steps=4000, name="made"))
    assert sentence in run_diagnosis_text(found)
    run_diagnosis_figure(found).canvas.draw()


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        (
            Configuration("adamw", 1e-3, 0.0),
            "There is no weight decay: only the gradient can shrink",
        ),
        (Configuration("adam", 1e-3, 0.1), "How far weight decay can shrink the norm is unknown"),
        (Configuration(), "How far weight decay can shrink the norm is unknown"),
        (Configuration("adamw", 1e-3, 0.1), "decay alone could shrink the norm 1.35-fold."),
    ],
)
def test_the_clock_needs_a_decay_that_is_known(configuration: Configuration, sentence: str) -> None:
    run = grokked()
    found = diagnose_run(Run(run.channels, configuration, max_steps=4000))
    assert sentence in run_diagnosis_text(found)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("factory")
    (folder / "network_of_mine.py").write_text(FACTORY)
    return folder


@pytest.fixture(scope="module")
def trained(factory: Path):
    """A network trained for 60 steps under a probe, with a checkpoint at three of them."""
    space: dict = {}
    exec(compile(FACTORY, "factory", "exec"), space)
    module, loss, train, validation = space["everything"]()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.1)
    probe = TrajectoryProbe(every=1, snapshots=6).watch(module, optimizer)
    rows = ["step,train_loss,val_acc"]
    for step in range(60):
        optimizer.zero_grad()
        value = loss(module(train[0]), train[1])
        value.backward()
        right = (module(validation[0]).argmax(1) == validation[1]).float().mean()
        rows.append(f"{step},{value.item()},{right.item()}")
        if step % 20 == 0:
            saved = {
                "state_dict": {f"net.{name}": p for name, p in module.state_dict().items()},
                "global_step": step,
                "optimizer_states": [optimizer.state_dict()],
            }
            torch.save(saved, factory / f"step-{step}.ckpt")
        probe.before_step(value)
        optimizer.step()
        probe.after_step()
    probe.finish()
    (factory / "loss.csv").write_text("\n".join(rows) + "\n")
    return module, loss, train, validation, probe


def test_a_network_from_its_snapshots(trained) -> None:
    module, loss, train, validation, probe = trained
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = diagnose(
        module, loss, train, validation, probe.snapshots,
        trajectory=probe.trajectory, noise=True, plane_points=5,
    )  # fmt: skip
    assert found.steps == [0, 16, 32, 48, 60]
    # Everything is that of the snapshot, and not of the module as it is.
    last = found.slices[-1]
    assert last.name == "random, around the end"
    now = float(loss(module(train[0]), train[1]).detach())
    assert last.train_loss[15] == pytest.approx(now, rel=1e-5)
    path = found.slices[0]
    assert path.name == "from step 0 to the end"
    ends = [np.flatnonzero(np.isclose(path.axes[0], place))[0] for place in (0, 1)]
    assert path.train_loss[ends[0]] == pytest.approx(probe.trajectory.loss[0], rel=1e-5)
    assert path.train_loss[ends[1]] == pytest.approx(now, rel=1e-5)
    assert found.curvatures[0].loss == pytest.approx(probe.trajectory.loss[0], rel=1e-5)
    assert found.curvatures[1].preconditioned is not None
    assert found.modes is not None
    assert found.plane is not None
    assert found.plane.train_loss.shape == (5, 5)
    assert set(found.dimensions) == {"0", "1", "2"}
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    text = diagnosis_text(found)
    largest = found.curvatures[-1].largest
    assert f"to {largest.value:.3g} +- {largest.residual:.1g} at step 60" in text
    share = 100 * found.modes.shares[:2].sum()
    assert f"Two modes hold {share:.3g} % of the trajectory's variance over 5 snapshots" in text
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["curvature"][-1]["largest"]["value"] == largest.value
    assert document["noise"]["gradient"]["n_samples"] == 34
    before_state = dict(mpl.rcParams)
    diagnosis_figure(found).canvas.draw()
    assert dict(mpl.rcParams) == before_state


def test_one_snapshot_is_enough(trained) -> None:
    module, loss, train, validation, probe = trained
    found = diagnose(module, loss, train, validation, probe.snapshots[-1:])
    assert found.modes is None
    assert [each.name for each in found.slices] == ["random, around the end"]
    assert "At step 60 lambda_max is" in diagnosis_text(found)
    diagnosis_figure(found).canvas.draw()
    with pytest.raises(ValueError, match="at least one snapshot with a finite loss, 0 were"):
        diagnose(module, loss, train, validation, [])
    with pytest.raises(ValueError, match="different steps"):
        diagnose(module, loss, train, validation, probe.snapshots[:1] * 2)


def test_a_checkpoint_reads_as_the_snapshot_of_its_step(trained, factory: Path) -> None:
    module, probe = trained[0], trained[-1]
    found = read_checkpoint(factory / "step-0.ckpt", module)
    assert torch.equal(found.parameters, probe.snapshots[0].parameters)
    later = read_checkpoint(factory / "step-40.ckpt", module)
    assert (later.step, later.learning_rate, later.weight_decay) == (40, 0.01, 0.1)
    assert later.preconditioner is not None
    assert later.preconditioner.shape == later.parameters.shape
    torch.save(module.state_dict(), factory / "plain.pt")
    plain = read_checkpoint(factory / "plain.pt", module)
    assert torch.equal(plain.parameters, probe.snapshots[-1].parameters)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_a_checkpoint_of_another_network_or_kind_is_refused(
    trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = trained[0]
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"has no parameter '0\.weight'"):
        read_checkpoint(tmp_path / "other.pt", module)
    torch.save(
        nn.Sequential(nn.Linear(14, 13), nn.ReLU(), nn.Linear(13, 7)).state_dict(),
        tmp_path / "wider.pt",
    )
    with pytest.raises(ValueError, match=r"0.weight has shape \(13, 14\) in .*has \(12, 14\)"):
        read_checkpoint(tmp_path / "wider.pt", module)
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="no checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "evil.pt", module)
    assert "executed" not in capsys.readouterr().out
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(ValueError, match="no checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "text.pt", module)


def test_command_line_with_checkpoints(trained, factory: Path, monkeypatch) -> None:
    checkpoints = [arg for s in (0, 20, 40) for arg in ("--checkpoint", f"step-{s}.ckpt")]
    arguments = ["diagnose", "loss.csv", *checkpoints, "--module", "network_of_mine:everything"]
    monkeypatch.chdir(factory)
    monkeypatch.syspath_prepend(str(factory))
    result = CliRunner().invoke(main, [*arguments, "-o", "why.png"])
    assert result.exit_code == 0, result.output
    assert "lambda_max went from" in result.stdout
    assert "preconditioned as Adam does" in result.stdout
    assert (factory / "why.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert document["snapshots"] == [0, 20, 40]
    assert document["run"].endswith("loss.csv")


def test_command_line_finds_the_module_in_the_working_folder(trained, factory: Path) -> None:
    arguments = ["loss.csv", "--checkpoint", "step-40.ckpt", "--module", "network_of_mine:nothing"]
    done = subprocess.run(
        [Path(sys.executable).parent / "grokpredict", "diagnose", *arguments],
        cwd=factory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "must return (module, loss, train_batch, val_batch)" in done.stderr


def test_command_line_from_logs_loads_no_torch(trained, factory: Path) -> None:
    code = (
        "import sys; from grokpredict.cli import main;"
        "main(['diagnose', 'loss.csv'], standalone_mode=False);"
        "assert not {'torch', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=factory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loss.csv: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--checkpoint", "x"], "--checkpoint and --module go together"),
        (["--module", "network_of_mine"], "--checkpoint and --module go together"),
        (["--checkpoint", "x", "--module", "nowhere"], "must be PACKAGE.MODULE:FUNCTION"),
        (["--checkpoint", "x", "--module", "nowhere.at:all"], "cannot be imported from here"),
        (["--checkpoint", "x", "--module", "network_of_mine:f"], "has no function 'f'"),
        (["--checkpoint", "x", "--module", "network_of_mine:nothing"], "must return (module, loss"),
        (["--checkpoint", "x", "--module", "network_of_mine:everything"], "No such file"),
        (["--row", "3"], "there is no row 3"),
        (["-o", "no/such/folder.png"], "must lie in an existing folder"),
    ],
)
def test_bad_input_is_one_sentence(
    trained, factory: Path, monkeypatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(factory)
    monkeypatch.syspath_prepend(str(factory))
    result = CliRunner().invoke(main, ["diagnose", "loss.csv", *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note ")]
    assert len(lines) == 1


def test_a_run_that_diverged_is_read_up_to_there(trained) -> None:
    module, loss, train, validation, probe = trained
    gone = Snapshot(99, torch.full_like(probe.snapshots[0].parameters, torch.nan))
    found = diagnose(module, loss, train, validation, [*probe.snapshots[:2], gone])
    assert found.steps == [0, 16]
    assert found.left_out == [99]
    assert "1 snapshots, the first of step 99, were left out" in diagnosis_text(found)
    with pytest.raises(ValueError, match="a finite loss, 1 were given"):
        diagnose(module, loss, train, validation, [gone])
