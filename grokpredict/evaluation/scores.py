"""Scoring every run of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from grokpredict._util.frames import frame
from grokpredict._util.lazy import reporting
from grokpredict._util.progress import Progress, showing
from grokpredict.evaluation.scoring import Score, score
from grokpredict.evaluation.tabular import score_columns
from grokpredict.logs import Columns, Paths
from grokpredict.logs.reading import as_sweep, unexpected
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.verdict import Verdict
from grokpredict.runs.budget import Budget
from grokpredict.runs.endings import endings
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import LeftOut, Sweep

#: Runs that one process scores at a time.
CHUNK = 16


@dataclass(frozen=True, repr=False)
class Scores(Sequence[Score]):
    """What a classifier says about the runs of a sweep, in their order.

    Attributes
    ----------
    scores : tuple of Score
        One a run.
    """

    scores: tuple[Score, ...]

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> Scores: ...
    def __getitem__(self, index: int | slice) -> Score | Scores:
        """Return a score, or some of them."""
        if isinstance(index, slice):
            return Scores(self.scores[index])
        return self.scores[index]

    def __repr__(self) -> str:
        counts = {
            action: sum(score.verdict.action == action for score in self)
            for action in ("continue", "abort", "abstain")
        }
        return f"<Scores of {len(self)} runs: " + ", ".join(
            f"{number} {action}" for action, number in counts.items()
        ) + ">"  # fmt: skip

    def _repr_html_(self) -> str:
        return str(reporting().scores_html(self))

    def to_pandas(self) -> Any:
        """Return a row a run: verdict, P, threshold and the other fields of its last look.

        Returns
        -------
        pandas.DataFrame, or dict of str to list without pandas
            ``stopped`` is the step of an abort. None or NaN where there is no value.
        """
        return frame(score_columns(self))


def score_sweep(
    sweep: Sweep | Paths,
    classifier: str | Path | GrokClassifier = "default",
    *,
    columns: Columns | None = None,
    budget: int | None = None,
    max_false_abort: float = 0.05,
    jobs: int = 1,
    progress: Progress | bool | None = None,
) -> Scores:
    """Look at every run of a sweep as a monitor would have while it trained.

    Parameters
    ----------
    sweep : Sweep, path-like or iterable of path-like
        Runs, or where to read them.
    classifier, columns, max_false_abort
        As for :func:`grokpredict.score`.
    budget : int, optional
        Step by which the runs have to generalise; by default what each was planned for, or the
        longest run in its folder.
    jobs : int
        Processes, as joblib counts them.
    progress : callable or bool, optional
        Called with the runs done and to do; True shows a bar.

    Returns
    -------
    Scores
        One for each run of the sweep, in its order.

    Raises
    ------
    LogError
        If a path does not exist or holds no log.
    """
    sweep = as_sweep(sweep, columns, jobs=jobs)
    model = load_classifier(classifier)
    budgets = [end.budget for end in endings(sweep.runs, budget)]
    scores: list[Score] = []
    with showing(progress, "scoring") as show:
        for part in _parts(sweep.runs, budgets, model, max_false_abort, jobs):
            scores.extend(part)
            show(len(scores), len(sweep))
    return Scores(tuple(scores))


def _parts(
    runs: Sequence[Run],
    budgets: Sequence[Budget],
    model: GrokClassifier,
    max_false_abort: float,
    jobs: int,
) -> Iterator[list[Score]]:
    starts = range(0, len(runs), CHUNK)
    chunks = ((runs[i : i + CHUNK], budgets[i : i + CHUNK], model, max_false_abort) for i in starts)
    if jobs == 1:
        yield from (_scored(*chunk) for chunk in chunks)
        return
    from joblib import delayed

    from grokpredict._util.parallel import results

    yield from results((delayed(_scored)(*chunk) for chunk in chunks), jobs)


def _scored(
    runs: Sequence[Run], budgets: Sequence[Budget], model: GrokClassifier, max_false_abort: float
) -> list[Score]:
    scores = []
    for run, budget in zip(runs, budgets, strict=True):
        judged = score_or_reason(run, model, budget=budget.steps, max_false_abort=max_false_abort)
        if isinstance(judged, LeftOut):
            verdict = Verdict("abstain", judged.reason, None, budget.steps)
            judged = Score(run.name, run.last_step + 1, verdict, (), notes=run.notes, run=run)
        scores.append(replace(judged, budget_source=budget.source))
    return scores


def score_or_reason(
    run: Run, model: GrokClassifier, *, budget: int | None, max_false_abort: float
) -> Score | LeftOut:
    """Score one run of many; say why where that fails."""
    try:
        return score(run, model, budget=budget, max_false_abort=max_false_abort)
    except Exception as error:  # even a defect of ours must not cost the other runs their scores
        return LeftOut(run.name, unexpected(error))
