"""How the examples become the gallery: their order, their arguments, their figures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

#: As a reader meets them: stopping, learning, why, the papers.
ORDER = (
    "demo",
    "two_runs",
    "abort_one_run",
    "plain_loop",
    "fabric_loop",
    "optuna_sweep",
    "score_csv",
    "train_on_own_sweep",
    "diagnose_demo",
    "notsawo",
    "omnigrok",
    "musat",
    "ravines",
)

#: Examples draw into this folder and not beside their source.
_DRAWN = tempfile.TemporaryDirectory()


class Order:
    """Sorts the examples."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        """Return the place of a file; one that is not named comes last."""
        stem = Path(name).stem
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Return what an example is called with."""
    draws = "--folder" in Path(script_vars["src_file"]).read_text()
    return ["--folder", _DRAWN.name] if draws else []


def figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Move what an example drew into the gallery."""
    moved = []
    for drawn in sorted(Path(_DRAWN.name).glob("*.png")):
        target = Path(next(block_vars["image_path_iterator"]))
        target.write_bytes(drawn.read_bytes())
        drawn.unlink()
        moved.append(str(target))
    return figure_rst(moved, gallery_conf["src_dir"])
