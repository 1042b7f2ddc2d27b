"""Many runs, those that were left out, and what was met while they were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from grokpredict._util.errors import GrokpredictError
from grokpredict._util.frames import frame
from grokpredict._util.lazy import reporting
from grokpredict.runs.run import Run
from grokpredict.runs.tabular import sweep_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grokpredict.evaluation import Score
    from grokpredict.reporting import CurvesDisplay, PhaseDisplay

Key = TypeVar("Key")


class UnsuitableSweepError(GrokpredictError):
    """Runs that nothing can be learned from or decided about, with the reason as its message."""


@dataclass(frozen=True)
class LeftOut:
    """A run that was not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """What was met while a sweep was read; the findings of two parts add up.

    Attributes
    ----------
    formats : mapping of str to int
        Runs by the format that they were read from.
    columns : mapping of (str, str) to int
        Runs by channel and the column that was taken for it; ``"step"`` counts as a channel.
    remarks : mapping of str to (int, str)
        What a user should know of the data: how many runs it is true of, and the name of one.
    unread : mapping of str to (int, str)
        Files of the folders that were searched and that are no logs: how many by their kind, and
        the name of one.
    """

    formats: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], int] = field(default_factory=dict)
    remarks: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    unread: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as what :func:`json.dumps` takes."""
        columns: dict[str, dict[str, int]] = {}
        for (channel, column), number in self.columns.items():
            columns.setdefault(channel, {})[column] = number
        remarks = [
            {"runs": number, "path": example, "remark": text}
            for text, (number, example) in self.remarks.items()
        ]
        unread = [
            {"files": number, "path": example, "kind": kind}
            for kind, (number, example) in self.unread.items()
        ]
        return {
            "formats": dict(self.formats),
            "columns": columns,
            "remarks": remarks,
            "unread": unread,
        }

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            _sums(self.formats, other.formats),
            _sums(self.columns, other.columns),
            _joined(self.remarks, other.remarks),
            _joined(self.unread, other.unread),
        )


def _joined(
    one: Mapping[str, tuple[int, str]], other: Mapping[str, tuple[int, str]]
) -> dict[str, tuple[int, str]]:
    both = dict(one)
    for text, (number, example) in other.items():
        before, first = both.get(text, (0, example))
        both[text] = (before + number, first)
    return both


def _sums(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


@dataclass(frozen=True, eq=False)
class Sweep:
    """Runs that were read, those that were left out, and what was met on the way."""

    runs: Sequence[Run]
    left_out: Sequence[LeftOut] = ()
    findings: Findings = Findings()

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        left_out = f", {len(self.left_out)} left out" if self.left_out else ""
        return f"<Sweep of {len(self)} run{'' if len(self) == 1 else 's'}{left_out}>"

    def _repr_html_(self) -> str:
        return str(reporting().sweep_html(self))

    def to_pandas(self, *, budget: int | None = None) -> Any:
        """Return a row a run: its outcome, phase and times, and its configuration.

        Parameters
        ----------
        budget : int, optional
            Step by which the runs had to generalise; by default what each was planned for, or the
            longest run in its folder.

        Returns
        -------
        pandas.DataFrame, or dict of str to list without pandas
            Columns are ``run``, ``outcome`` (good, doomed, unknown), ``phase``, ``t1`` to ``t4``,
            ``budget``, ``budget_source``, ``last_step``, ``diverged``, the fields of
            :class:`~grokpredict.Configuration` and all other hyperparameters.
        """
        return frame(sweep_columns(self.runs, budget))

    def plot_phase(
        self,
        x: str,
        y: str,
        *,
        scores: Sequence[Score] | None = None,
        budget: int | None = None,
        ax: Axes | None = None,
    ) -> PhaseDisplay:
        """Draw the phase of every run over two axes of its configuration; needs matplotlib.

        Parameters
        ----------
        x, y : str
            Hyperparameters, such as ``"lr"`` and ``"weight_decay"``.
        scores : sequence of Score, optional
            Of :func:`grokpredict.score_sweep`: runs that are stopped get a ring.
        budget : int, optional
            As for :meth:`to_pandas`.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Raises
        ------
        ValueError
            If the configurations have no such hyperparameter, or the scores are of other runs.
        """
        display: PhaseDisplay = reporting().plot_phase(
            self, x, y, scores=scores, budget=budget, ax=ax
        )
        return display

    def plot_curves(
        self,
        *,
        scores: Sequence[Score] | None = None,
        budget: int | None = None,
        ax: Axes | None = None,
    ) -> CurvesDisplay:
        """Draw training loss and validation accuracy of every run; needs matplotlib.

        Parameters
        ----------
        scores : sequence of Score, optional
            Of :func:`grokpredict.score_sweep`: curves have the colours of their verdicts, and
            those of their outcomes without it.
        budget : int, optional
            As for :meth:`to_pandas`.
        ax : matplotlib.axes.Axes, optional
            Two panels are drawn within its bounds; in a new figure by default.
        """
        display: CurvesDisplay = reporting().plot_curves(self, scores=scores, budget=budget, ax=ax)
        return display
