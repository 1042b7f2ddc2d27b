"""The report of a sweep as one HTML file that needs no network."""

from __future__ import annotations

import base64
import gzip
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokpredict._util.atomic import check_replaceable, replacing
from grokpredict._util.errors import GrokpredictError
from grokpredict._util.progress import Progress, showing
from grokpredict.evaluation import evaluate, score_sweep
from grokpredict.logs import Columns
from grokpredict.logs.reading import as_sweep
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.reporting.page_data import page_data
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError

if TYPE_CHECKING:
    from grokpredict.evaluation import Evaluation
    from grokpredict.logs import Paths

#: Parts of the page, in ``reporting/web``.
_PARTS = ("page.css", "axes.js", "charts.js", "table.js", "run.js", "page.js")


class ReportUnavailableError(GrokpredictError):
    """What draws the figures of a report is not installed."""


def report(
    sweep: Sweep | Paths,
    path: str | Path = "report.html",
    classifier: str | Path | GrokClassifier = "default",
    *,
    columns: Columns | None = None,
    budget: int | None = None,
    max_false_abort: float = 0.05,
    jobs: int = 1,
    progress: Progress | bool | None = None,
) -> Path:
    """Write a page about a sweep: what would be lost and saved, its figures, every run.

    Parameters
    ----------
    sweep : Sweep, path-like or iterable of path-like
        Runs, or where to read them.
    path : path-like
        HTML file to write, in an existing folder.
    classifier, columns, budget, max_false_abort, jobs
        As for :func:`grokpredict.evaluate`.
    progress : callable or bool, optional
        Called with the parts done and to do; True shows a bar.

    Returns
    -------
    Path
        The file. It holds all it needs, and a browser that shows it asks no network.

    Raises
    ------
    ReportUnavailableError
        If vl-convert-python is not installed.
    LogError
        If a path does not exist or holds no log.
    OSError
        If the file cannot be written.
    """
    target = Path(path)
    check_replaceable(target)
    vega = _vega()
    sweep = as_sweep(sweep, columns, jobs=jobs)
    name = "built-in" if classifier == "default" else _name(classifier)
    classifier = load_classifier(classifier)
    options: dict[str, Any] = {"budget": budget, "max_false_abort": max_false_abort}
    with showing(progress, "report") as show:
        total = len(sweep) + _EVALUATION * len(sweep)
        scores = score_sweep(
            sweep, classifier, jobs=jobs, progress=lambda done, _: show(done, total), **options
        )
        evaluation: Evaluation | str
        try:
            evaluation = evaluate(
                sweep,
                classifier,
                jobs=jobs,
                progress=lambda done, stages: show(
                    len(sweep) + _EVALUATION * len(sweep) * done // stages, total
                ),
                **options,
            )
        except UnsuitableSweepError as error:
            evaluation = f"{error}."
        document = page_data(sweep, scores, evaluation, classifier=name, **options)
    with replacing(target) as file:
        file.write(page_html(document, vega).encode())
    return target


#: How much longer an evaluation takes than scoring, about.
_EVALUATION = 1


def page_html(document: dict[str, Any], vega: str) -> str:
    """Return the page.

    Parameters
    ----------
    document : dict
        Of :func:`~grokpredict.reporting.page_data.page_data`. It is packed, so that no name in it
        can be taken for HTML.
    vega : str
        JavaScript that defines ``vegaEmbed``.
    """
    folder = files("grokpredict.reporting") / "web"
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    parts = {name: (folder / name).read_text("utf-8") for name in _PARTS}
    parts |= {"data": packed, "vega": vega.replace("</script", "<\\/script")}
    html = (folder / "page.html").read_text("utf-8")
    for name, part in parts.items():
        html = html.replace(f"{{{{{name}}}}}", part)
    return html


#: What the scripts of the page call.
_GLOBALS = "Object.assign(window, { vegaEmbed, vegaLite, vega });"


def _vega() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script."""
    try:
        from vl_convert import javascript_bundle
    except ImportError:
        raise ReportUnavailableError(
            'a report needs vl-convert-python; pip install "grokpredict[report]".'
        ) from None
    return str(javascript_bundle(_GLOBALS))


def _name(classifier: str | Path | GrokClassifier) -> str:
    return "given" if isinstance(classifier, GrokClassifier) else Path(classifier).name
