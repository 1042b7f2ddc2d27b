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

#: A module may import from its own layer and those above it. A folder stands for all in it.
LAYERS = (
    {"curves", "cache", "parallel", "replacing"},
    {"labels"},
    {"conditioning", "shape", "features", "thresholds", "trees", "archive", "terms", "ranking"},
    {"strangers", "metric_terms", "validated"},
    {"classifier"},
    {"boosting", "digest", "training_table", "validation", "training", "forecast"}
    | {"decision", "backends"},
    {"evaluate", "monitor", "gathering"},
    {"scoring"},
    {"context", "callback", "integrations", "plots", "evaluation_figure", "report", "printing"},
    {"cli"},
    {"__main__"},
)

#: These see no more of the package than what is named.
NARROW = {
    "logs": {"curves", "labels", "logs", "parallel", "replacing"},
    "sweeps": {"curves", "labels", "logs", "parallel", "sweeps"},
}

#: Only these may import the package on the left.
ONLY_IN = {
    "torch": {"callback", "context", "integrations", "sweeps"},
    "pytorch_lightning": {"callback", "context", "integrations"},
    "lightning": {"callback", "context", "integrations"},
    "matplotlib": {"plots", "evaluation_figure", "report"},
    "click": {"cli"},
    "tqdm": {"cli", "sweeps"},
}

NEVER = {("cli", "callback"), ("cli", "integrations"), ("monitor", "callback")}


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


def part(dotted: str) -> str:
    """The module of ours that a name under ``grokpredict.`` belongs to."""
    return dotted.split(".", maxsplit=1)[0]


def layer(name: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


def faults(package: Path) -> list[str]:
    found = []
    for module, tree in modules(package):
        own = part(module)
        if own == "__init__":
            continue
        if own not in NARROW and layer(own) is None:
            found.append(f"{module} has no layer")
            continue
        for name in imported(tree):
            root, _, rest = name.partition(".")
            if root != "grokpredict":
                if root in ONLY_IN and own not in ONLY_IN[root]:
                    found.append(f"{module} imports {root}")
                continue
            other = part(rest)
            if other == own:
                continue
            if (own, other) in NEVER:
                found.append(f"{module} imports {other}")
            elif own in NARROW:
                if other not in NARROW[own]:
                    found.append(f"{module} imports {other}")
            elif other in NARROW:
                if layer(own) < layer("evaluate"):
                    found.append(f"{module} imports {other}")
            elif layer(other) is None or layer(other) > layer(own):
                found.append(f"{module} imports {other}")
    return found


def test_import_order() -> None:
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("curves.py", "from grokpredict.classifier import GrokClassifier", "imports classifier"),
        ("labels.py", "def f():\n    import grokpredict.monitor", "imports monitor"),
        ("features.py", "import torch.nn", "imports torch"),
        ("monitor.py", "from matplotlib import pyplot", "imports matplotlib"),
        ("cli/score.py", "from grokpredict.callback import GrokPredictor", "imports callback"),
        ("logs/csv_file.py", "from grokpredict.features import extract", "imports features"),
        ("classifier.py", "from grokpredict.logs import read_run", "imports logs"),
        ("novel.py", "import os", "has no layer"),
    ],
)
def test_the_check_can_fail(tmp_path: Path, path: str, line: str, fault: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(line + "\n")
    (found,) = faults(tmp_path)
    assert found.endswith(fault)
    (tmp_path / path).write_text("from __future__ import annotations\nimport numpy\n")
    assert [each for each in faults(tmp_path) if "has no layer" not in each] == []


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
    from planted import hand_made

    hand_made().save(tmp_path / "c.npz")
    rows = "".join(f"{step},{2 - step / 400}\n" for step in range(400))
    (tmp_path / "loss.csv").write_text("step,loss\n" + rows)
    code = "from grokpredict.cli import main; main(standalone_mode=False)"
    loaded = loaded_by(
        code, "score", str(tmp_path / "loss.csv"), "--classifier", str(tmp_path / "c.npz")
    )
    assert "grokpredict.scoring" in loaded
    assert not loaded & {*HEAVY, "sklearn", "joblib", "tqdm", "grokpredict.callback"}


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
