"""From log files to a classifier: in bounded memory, on several cores, each log only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grokpredict._util.cache import Cache, key_of
from grokpredict._util.parallel import results
from grokpredict.logs import Columns, Paths
from grokpredict.logs.content import content_digest
from grokpredict.logs.reading import find, read_log, unexpected
from grokpredict.logs.source import STDIN
from grokpredict.model.classifier import DEFAULT_HORIZONS, GrokClassifier
from grokpredict.runs.budget import relative
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep
from grokpredict.training.digest import CHUNK, Digest, Facts, Recipe, digest_runs, join, wider
from grokpredict.training.table import Progress, digest_sweep
from grokpredict.training.trainer import TrainingReport, train_digest

#: Logs, and bytes of them, that one task takes: enough that starting it costs nothing beside it.
TASK_LOGS = 32
TASK_BYTES = 4 * 2**20

#: Called with what is iterated over and its length, such as a progress bar.
Track = Callable[[Iterable[Path], int], Iterable[Path]]


@dataclass(frozen=True, eq=False)
class Gathered:
    """What was found under some paths.

    Attributes
    ----------
    digest : Digest
        Of the runs.
    left_out : tuple of LeftOut
        Runs that could not be read.
    findings : Findings
        What was met on the way.
    recipe : Recipe
        By which the digest was made.
    """

    digest: Digest
    left_out: tuple[LeftOut, ...]
    findings: Findings
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives, as the cache keeps it."""

    classifier: GrokClassifier
    report: TrainingReport


def gather(
    paths: Paths,
    columns: Columns | None = None,
    recipe: Recipe | None = None,
    *,
    jobs: int = 1,
    track: Track | None = None,
    cache: Cache | None = None,
) -> Gathered:
    """Read logs and keep of them what training needs.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        As for :func:`grokpredict.logs.read_sweep`.
    columns : Columns, optional
        Names of columns that are not to be recognised but taken.
    recipe : Recipe, optional
        Horizons, step grids and label rule.
    jobs : int
        Processes, as joblib counts them. Of the curves, only those of the logs that a process has
        in hand are in memory.
    track : callable, optional
        Shows the progress over the logs.
    cache : Cache, optional
        Where what became of a log is kept, by the content of its files.

    Raises
    ------
    LogError
        If a path does not exist or a folder holds no log.
    """
    columns, recipe = columns or Columns(), recipe or Recipe()
    logs = find(paths)
    found = logs.paths
    gathered = _gather(found, columns, recipe, jobs, track, cache)
    wide = wider(recipe, gathered.digest)
    if wide is not None:
        # Only now is it known that one run is on a grid that others would serve too.
        gathered = replace(_gather(found, columns, wide, jobs, track, cache), recipe=recipe)
    return replace(
        gathered,
        left_out=(*logs.left_out, *gathered.left_out),
        findings=Findings(unread=logs.unread) + gathered.findings,
    )


def train(
    sweep: Sweep | Paths,
    *,
    columns: Columns | None = None,
    horizons: Sequence[int] = DEFAULT_HORIZONS,
    strides: Sequence[int] | None = None,
    budget: int | None = None,
    rule: LabelRule | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, TrainingReport]:
    """Train a classifier on finished runs.

    Parameters
    ----------
    sweep : Sweep, path-like or iterable of path-like
        Runs with a training loss and a validation metric, or where to read them. From paths the
        memory that is needed does not grow with the length of the curves.
    columns : Columns, optional
        Names of columns, where they are not recognised.
    horizons : sequence of int
        Steps after which to look. Those that no run reaches are left out.
    strides : sequence of int, optional
        Step grids to serve. By default the usual ones, as far as the runs were logged finely
        enough, and those of the runs.
    budget : int, optional
        Step by which a run has to generalise. By default what each run was planned for.
    rule : LabelRule, optional
        When a run counts as generalised. By default as each run says.
    seed : int
        Seed of the splits and of the budgets that are drawn.
    jobs : int
        Processes, as joblib counts them.
    progress : callable, optional
        Called with the work done and the work in all: runs of a sweep, or fits for paths.

    Returns
    -------
    classifier : GrokClassifier
    report : TrainingReport

    Raises
    ------
    UnsuitableSweepError
        If too few runs can be used, or all of them generalised, or none.
    LogError
        If a path does not exist or holds no log.
    """
    recipe = Recipe(tuple(horizons), None if strides is None else tuple(strides), rule)
    if isinstance(sweep, Sweep):
        digest = digest_sweep(sweep.runs, recipe, jobs=jobs, progress=progress)
        n_left_out = len(sweep.left_out)
        return train_digest(
            digest, recipe, left_out=n_left_out, budget=budget, seed=seed, jobs=jobs
        )
    gathered = gather(sweep, columns, recipe, jobs=jobs)
    return train_gathered(gathered, budget=budget, seed=seed, jobs=jobs, progress=progress)


def train_gathered(
    gathered: Gathered,
    *,
    budget: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, TrainingReport]:
    """Train a classifier on what was gathered, as :func:`train`.

    Parameters
    ----------
    gathered : Gathered
        By :func:`gather`.
    budget, seed, jobs
        As for :func:`train`.
    cache : Cache, optional
        Where the classifier is kept, by all that it depends on.
    progress : callable, optional
        Called with the fits done and to do.
    """
    digest, recipe, left_out = gathered.digest, gathered.recipe, len(gathered.left_out)
    key = "" if cache is None else key_of(_unmoved(digest.facts), recipe, left_out, budget, seed)
    trained = cache.get(key, Trained) if cache else None
    if trained is None:
        classifier, report = train_digest(
            digest,
            recipe,
            left_out=left_out,
            budget=budget,
            seed=seed,
            jobs=jobs,
            progress=progress,
        )
        trained = Trained(classifier, report)
        if cache is not None:
            cache.put(key, trained, Trained)
    return trained.classifier, trained.report


def _gather(
    found: Sequence[Path],
    columns: Columns,
    recipe: Recipe,
    jobs: int,
    track: Track | None,
    cache: Cache | None,
) -> Gathered:
    from joblib import delayed

    tasks = (delayed(_work)(logs, columns, recipe, cache) for logs in _tasks(found))
    done = results(tasks, jobs)
    digests: list[Digest] = []
    left_out: list[LeftOut] = []
    findings = Findings()

    def as_read() -> Iterator[Path]:
        nonlocal findings
        for parts in done:
            digests.append(join([part.digest for part in parts]))
            for part in parts:
                left_out.extend(part.left_out)
                findings += part.findings
            yield from (part.path for part in parts)

    for _ in track(as_read(), len(found)) if track else as_read():
        pass
    return Gathered(join(digests), tuple(left_out), findings, recipe)


def _unmoved(facts: Sequence[Facts]) -> list[Facts]:
    """Return facts that are the same wherever the sweep lies."""
    names = relative([fact.name for fact in facts])
    return [replace(fact, name=name) for fact, name in zip(facts, names, strict=True)]


@dataclass(frozen=True, eq=False)
class Part:
    """What became of one log."""

    path: Path
    digest: Digest
    left_out: Sequence[LeftOut]
    findings: Findings

    def at(self, path: Path) -> Part:
        """Return what became of a log with the same content under another path."""
        old, new = str(self.path), str(path)
        if old == new:
            return self

        def moved(name: str) -> str:
            return new + name.removeprefix(old)

        left_out = [
            LeftOut(moved(each.path), each.reason.replace(old, new)) for each in self.left_out
        ]
        remarks = {
            text: (number, moved(example))
            for text, (number, example) in self.findings.remarks.items()
        }
        facts = tuple(replace(fact, name=moved(fact.name)) for fact in self.digest.facts)
        digest = replace(self.digest, facts=facts)
        return Part(path, digest, left_out, replace(self.findings, remarks=remarks))


def _tasks(logs: Iterable[Path]) -> Iterator[list[Path]]:
    task: list[Path] = []
    size = 0
    for log in logs:
        task.append(log)
        size += log.stat().st_size if log.is_file() else 0
        if len(task) == TASK_LOGS or size >= TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task


def _work(
    logs: Sequence[Path], columns: Columns, recipe: Recipe, cache: Cache | None
) -> list[Part]:
    """Read and digest some logs, or find in the cache what became of them."""
    keys = {log: _key(log, columns, recipe) for log in logs} if cache else {}
    parts: dict[Path, Part] = {}
    waiting: list[tuple[Path, list[Run], Sequence[LeftOut], Findings]] = []

    def digest_waiting() -> None:
        # Many runs at once: a call for one costs as much as for a hundred.
        try:
            digest = digest_runs([run for _, runs, _, _ in waiting for run in runs], recipe)
        except Exception:
            # One bad run must not end a sweep; which it is, only they alone tell.
            waiting[:] = [_digestible(*each, recipe) for each in waiting]
            digest = digest_runs([run for _, runs, _, _ in waiting for run in runs], recipe)
        first = 0
        for log, runs, left_out, findings in waiting:
            part = Part(log, digest.between(first, first + len(runs)), left_out, findings)
            first += len(runs)
            parts[log] = part
            # A log that gave nothing may be read when a library is installed.
            if cache and runs and keys[log]:
                cache.put(keys[log], part, Part)
        waiting.clear()

    for log in logs:
        known = cache.get(keys[log], Part) if cache and keys[log] else None
        if known is not None:
            parts[log] = known.at(log)
            continue
        found = read_log(log, columns)
        waiting.append((log, list(found.runs), found.left_out, found.findings))
        if sum(len(runs) for _, runs, _, _ in waiting) >= CHUNK:
            digest_waiting()
    digest_waiting()
    return [parts[log] for log in logs]


def _digestible(
    log: Path, runs: list[Run], left_out: Sequence[LeftOut], findings: Findings, recipe: Recipe
) -> tuple[Path, list[Run], Sequence[LeftOut], Findings]:
    """Leave out the runs of a log whose digest fails."""
    kept, failed = [], []
    for run in runs:
        try:
            digest_runs([run], recipe)
        except Exception as error:
            failed.append(LeftOut(run.name, unexpected(error)))
        else:
            kept.append(run)
    return log, kept, [*left_out, *failed], findings


def _key(log: Path, columns: Columns, recipe: Recipe) -> str:
    """Return the key of a log in the cache; empty for one that has none."""
    if log == STDIN:
        return ""
    try:
        return key_of(content_digest(log), columns, recipe)
    except OSError:
        return ""  # the reader says what is wrong
