"""Who may import whom, and what must not be loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import grokpredict

PACKAGE = Path(grokpredict.__file__).parent

#: The packages of ours that each package may import.
MAY_IMPORT = {
    "_util": set(),
    "runs": {"_util"},
    "logs": {"_util", "runs"},
    "features": {"_util", "runs"},
    "model": {"_util", "runs", "features"},
    "training": {"_util", "runs", "features", "model", "logs"},
    "live": {"_util", "runs", "features", "model", "logs"},
    "evaluation": {"_util", "runs", "features", "model", "logs", "training", "live"},
    "diagnosis": {"_util", "runs", "live"},
    "sweeps": {"_util", "runs", "logs"},
    "reporting": {"_util", "runs", "features", "model", "logs", "training", "live", "evaluation"}
    | {"diagnosis"},
    "cli": {"_util", "runs", "features", "model", "logs", "training", "evaluation", "reporting"}
    | {"diagnosis", "sweeps"},
    "__main__": {"cli"},
}

#: Only these may import the package on the left.
ONLY_IN = {
    "torch": {"live", "diagnosis", "sweeps"},
    "pytorch_lightning": {"live"},
    "lightning": {"live"},
    "matplotlib": {"reporting"},
    "sklearn": {"training", "sweeps"},
    "click": {"cli"},
    "tqdm": {"cli", "sweeps", "_util"},
}

#: Results that show themselves: only these ask for ``reporting``, which lies above them.
SHOWN = {"runs", "model", "training", "evaluation", "_util"}

#: What a plain loop uses loads no framework.
FRAMEWORKS = {"torch", "pytorch_lightning", "lightning", "transformers", "optuna", "ray"}
PLAIN = {"live.monitor"}


def modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        dotted = ".".join(path.relative_to(package).with_suffix("").parts)
        yield dotted.removesuffix(".__init__"), ast.parse(path.read_text(), str(path))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every absolute dotted name that a module imports, inside functions too."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def faults(package: Path) -> list[str]:
    found = []
    for module, tree in modules(package):
        home = module.partition(".")[0]
        if home == "__init__":
            continue
        if home not in MAY_IMPORT:
            found.append(f"{module} is in no package")
            continue
        for name in imported(tree):
            root, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if root == "grokpredict":
                if other != home and other not in MAY_IMPORT[home]:
                    found.append(f"{module} imports {other}")
                if name == "grokpredict._util.lazy.reporting" and home not in SHOWN:
                    found.append(f"{module} asks for reporting")
            elif home not in ONLY_IN.get(root, {home}) or (module in PLAIN and root in FRAMEWORKS):
                found.append(f"{module} imports {root}")
    return found


def test_import_order() -> None:
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("runs/run.py", "from grokpredict.model.classifier import Classifier", "imports model"),
        ("runs/labels.py", "def f():\n    import grokpredict.live.monitor", "imports live"),
        ("features/signal.py", "import torch.nn", "imports torch"),
        ("model/trees.py", "from sklearn.tree import plot_tree", "imports sklearn"),
        ("live/monitor.py", "from matplotlib import pyplot", "imports matplotlib"),
        ("live/monitor.py", "import torch", "imports torch"),
        ("cli/score.py", "from grokpredict.live.lightning import GrokPredictor", "imports live"),
        ("logs/csv_file.py", "from grokpredict.features.signal import x", "imports features"),
        ("model/classifier.py", "from grokpredict.logs import read_run", "imports logs"),
        ("features/signal.py", "from grokpredict._util.lazy import reporting", "for reporting"),
        ("novel.py", "import os", "is in no package"),
    ],
)
def test_the_check_can_fail(tmp_path: Path, path: str, line: str, fault: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(line + "\n")
    (found,) = faults(tmp_path)
    assert found.endswith(fault)
    (tmp_path / path).write_text("from __future__ import annotations\nimport numpy\n")
    assert [each for each in faults(tmp_path) if "no package" not in each] == []


def loaded_by(code: str, *arguments: str) -> set[str]:
    tail = "\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + tail, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


HEAVY = {"torch", "pytorch_lightning", "lightning", "matplotlib"}


def test_importing_the_package_loads_nothing() -> None:
    loaded = loaded_by("import grokpredict")
    assert not loaded & {*HEAVY, "numpy", "scipy", "sklearn", "mne", "joblib", "yaml", "click"}


def test_scoring_loads_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    from look_models import looking

    looking("train_loss_level", [0.0]).save(tmp_path / "c.npz")
    rows = "".join(f"{step},{2 - step / 400}\n" for step in range(400))
    (tmp_path / "loss.csv").write_text("step,loss\n" + rows)
    code = "from grokpredict.cli import main; main(standalone_mode=False)"
    loaded = loaded_by(
        code, "score", str(tmp_path / "loss.csv"), "--classifier", str(tmp_path / "c.npz")
    )
    assert "grokpredict.evaluation.scoring" in loaded
    assert not loaded & {
        *HEAVY,
        "sklearn",
        "joblib",
        "tqdm",
        "grokpredict.live.lightning",
        "grokpredict.training",
    }


def test_help_loads_nothing_but_click() -> None:
    code = "from grokpredict.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & {*HEAVY, "numpy", "scipy", "sklearn", "mne", "yaml"}


def test_every_public_name_is_there_and_the_type_checker_sees_the_same() -> None:
    for name in grokpredict.__all__:
        assert getattr(grokpredict, name) is not None
        assert name in dir(grokpredict)
    tree = ast.parse(Path(grokpredict.__file__).read_text())
    typed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert typed == set(grokpredict.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        grokpredict.nonsense  # noqa: B018
