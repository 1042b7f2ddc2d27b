"""What the network itself says, from snapshots of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from grokpredict.diagnosis.curvature import Curvature, curvature
from grokpredict.diagnosis.dimension import layer_dimensions
from grokpredict.diagnosis.landscape import Batch, Criterion, Landscape
from grokpredict.diagnosis.noise import GradientNoise, ascent_sharpness, gradient_noise
from grokpredict.diagnosis.pca import TrajectoryModes, trajectory_modes
from grokpredict.diagnosis.run import RunDiagnosis, diagnose_run
from grokpredict.diagnosis.slices import Slice, barrier, random_direction, slice_along
from grokpredict.diagnosis.snapshots import Snapshot
from grokpredict.diagnosis.trajectory import Trajectory
from grokpredict.runs.curve import Curve, FloatArray
from grokpredict.runs.run import Run


@dataclass(frozen=True, eq=False)
class Noise:
    """Of the last snapshot, on the training batch; measured when asked for.

    Attributes
    ----------
    gradient : GradientNoise
        Spread over samples.
    sharpness : float
        Rise of the loss over one step of length 0.05 up the gradient.
    """

    gradient: GradientNoise
    sharpness: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Logs and network of one run.

    Attributes
    ----------
    of_run : RunDiagnosis
        What the logs say; the losses of the snapshots stand for logs that are not there.
    steps : list of int
        Of the snapshots that were read.
    left_out : list of int
        Steps of snapshots at which the loss is not finite.
    curvatures : list of Curvature
        Along the snapshots, on the training batch.
    slices : list of Slice
        Lines through the last snapshot, as their names say.
    plane : Slice or None
        Spanned by the two leading modes, through their mean; None with fewer than three snapshots.
    modes : TrajectoryModes or None
        Of the snapshots; None with fewer than three.
    dimensions : dict of str to (float, float)
        Intrinsic dimension by layer at the last snapshot, of the validation batch: maximum
        likelihood, TwoNN.
    noise : Noise or None
        When asked for.
    """

    of_run: RunDiagnosis
    steps: list[int]
    left_out: list[int]
    curvatures: list[Curvature]
    slices: list[Slice]
    plane: Slice | None
    modes: TrajectoryModes | None
    dimensions: dict[str, tuple[float, float]]
    noise: Noise | None

    def barriers(self) -> dict[str, tuple[float, float]]:
        """Return the heights of training and validation barriers of lines from 0 to 1."""
        return {
            found.name: (_barrier(found.axes[0], found.train_loss),
                         _barrier(found.axes[0], found.val_loss))
            for found in self.slices
            if found.name.endswith("to the end")
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as what :func:`json.dumps` takes; null where one is not finite."""
        slices = [*self.slices, *([] if self.plane is None else [self.plane])]
        found: dict[str, Any] = _finite(
            {
                **self.of_run.to_dict(),
                "snapshots": self.steps,
                "snapshots_left_out": self.left_out,
                "curvature": [
                    {**asdict(each), "ratio": each.ratio, "sharpness": each.sharpness,
                     "stable_below": each.stable_below}
                    for each in self.curvatures
                ],
                "slices": [asdict(each) for each in slices],
                "barriers": self.barriers(),
                "modes": None
                if self.modes is None
                else {"shares": self.modes.shares, "null": self.modes.null,
                      "coordinates": self.modes.coordinates, "residual": self.modes.residual},
                "dimensions": self.dimensions,
                "noise": None
                if self.noise is None
                else {**asdict(self.noise), "critical_batch": self.noise.gradient.critical_batch},
            }
        )  # fmt: skip
        return found


def diagnose(
    module: nn.Module,
    loss: Criterion,
    train_batch: Batch,
    val_batch: Batch,
    snapshots: Sequence[Snapshot],
    *,
    run: Run | None = None,
    trajectory: Trajectory | None = None,
    budget: int | None = None,
    goldilocks: float | None = None,
    points: int = 31,
    plane_points: int = 15,
    noise: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Say why a run went as it did: its phases, trajectory, curvature and landscape.

    Parameters
    ----------
    module : nn.Module
        The network; it is not changed.
    loss : callable
        ``loss(outputs, targets)`` gives a scalar, such as ``nn.CrossEntropyLoss()``.
    train_batch, val_batch : tuple
        ``(inputs, targets)``. All is measured on these: take the whole set where it is small,
        some 512 samples where it is not.
    snapshots : sequence of Snapshot
        Of a :class:`~grokpredict.TrajectoryProbe`, or of
        :func:`~grokpredict.diagnosis.snapshots.read_checkpoint`; at least one.
    run : Run, optional
        The run's logs; without them the phases are those of the snapshots.
    trajectory : Trajectory, optional
        What the probe recorded.
    budget, goldilocks : optional
        As :func:`~grokpredict.diagnosis.run.diagnose_run`.
    points, plane_points : int
        Points of a line, and of a side of the plane.
    noise : bool
        Measure gradient noise and sharpness too: as many gradients as samples, 256 at most.
    progress : callable, optional
        Called with what is done and what there is.

    Raises
    ------
    ValueError
        If two snapshots are of one step, one is not of this network, or there is none at which
        the loss is finite.
    """
    given = sorted(snapshots, key=lambda each: each.step)
    if len({each.step for each in given}) < len(given):
        steps = [each.step for each in given]
        raise ValueError(f"snapshots must be of different steps, got {steps}")
    told = progress or (lambda done, total: None)
    train, validation = (Landscape(module, loss, batch) for batch in (train_batch, val_batch))
    ordered = [each for each in given if math.isfinite(_loss_at(train, each))]
    if not ordered:
        raise ValueError(
            "a diagnosis of a network needs at least one snapshot with a finite loss, "
            f"{len(given)} were given"
        )
    steps = [each.step for each in ordered]
    of_run = diagnose_run(
        run or _run_of(train, validation, ordered),
        budget=budget,
        goldilocks=goldilocks,
        trajectory=trajectory,
    )
    curvatures: list[Curvature] = []
    for each in ordered:
        told(len(curvatures), len(ordered) + 2)
        curvatures.append(curvature(train, each))
    told(len(ordered), len(ordered) + 2)
    last = ordered[-1]
    positions = [each.parameters.to(train.position()) for each in ordered]
    train, validation = train.with_buffers(last.buffers), validation.with_buffers(last.buffers)
    middle = _memorised(of_run, steps)
    slices = _lines(train, validation, ordered, positions, middle, points)
    told(len(ordered) + 1, len(ordered) + 2)
    modes = trajectory_modes(positions) if len(positions) >= 3 else None
    plane = None if modes is None else _plane(train, validation, modes, plane_points)
    found = Diagnosis(
        of_run=of_run,
        steps=steps,
        left_out=[each.step for each in given if each.step not in steps],
        curvatures=curvatures,
        slices=slices,
        plane=plane,
        modes=modes,
        dimensions=layer_dimensions(module, val_batch[0], train.parts(positions[-1])),
        noise=_noise(train, positions[-1]) if noise else None,
    )
    told(len(ordered) + 2, len(ordered) + 2)
    return found


def _loss_at(train: Landscape, snapshot: Snapshot) -> float:
    here = train.with_buffers(snapshot.buffers)
    return here.value(snapshot.parameters.to(train.position()))


def _run_of(train: Landscape, validation: Landscape, snapshots: Sequence[Snapshot]) -> Run:
    rows = []
    for each in snapshots:
        theta = each.parameters.to(train.position())
        on = [part.with_buffers(each.buffers) for part in (train, validation)]
        rows.append([*on[0].value_and_accuracy(theta), *on[1].value_and_accuracy(theta), each.norm])
    steps = np.array([each.step for each in snapshots])
    names = ("train_loss", "train_acc", "val_loss", "val_acc", "weight_norm")
    columns = dict(zip(names, np.array(rows, dtype=float).T, strict=True))
    told = {name: Curve(steps, v) for name, v in columns.items() if not np.isnan(v).all()}
    return Run(told, name=f"{len(snapshots)} snapshots")


def _memorised(of_run: RunDiagnosis, steps: Sequence[int]) -> int:
    """Index of the first snapshot that had memorised, or the middle one."""
    t2 = of_run.times.t2
    after = [i for i, step in enumerate(steps) if t2 is not None and step >= t2]
    return after[0] if after and after[0] < len(steps) - 1 else len(steps) // 2


def _lines(
    train: Landscape,
    validation: Landscape,
    snapshots: Sequence[Snapshot],
    positions: Sequence[Tensor],
    middle: int,
    points: int,
) -> list[Slice]:
    """Lines along the directions of Notsawo et al. 2023, section 4 and appendix."""
    end = positions[-1]
    # A fifth beyond both ends; 0 and 1 are on the grid.
    share = max(points // 7, 1)
    between = np.arange(-share, 6 * share + 1) / (5 * share)
    wide = np.linspace(-1.0, 1.0, points)
    found = []

    def line(name: str, origin: Tensor, direction: Tensor, axis: FloatArray) -> None:
        if bool(direction.any()):
            found.append(slice_along(train, validation, origin, [direction], [axis], name))

    for index in dict.fromkeys((0, middle)):
        if index < len(positions) - 1:
            start = positions[index]
            name = f"from step {snapshots[index].step} to the end"
            line(name, start, end - start, between)
    for each, theta in zip(snapshots, positions, strict=True):
        if each is snapshots[middle] and each.update is not None:
            name = f"along the update at step {each.step}"
            line(name, theta, each.update.to(theta), 4 * wide)
    line("random, around the end", end, random_direction(train, end), wide)
    return found


def _plane(
    train: Landscape, validation: Landscape, modes: TrajectoryModes, points: int
) -> Slice | None:
    axes = []
    for column in modes.coordinates.T:
        margin = 0.15 * (column.max() - column.min())
        if margin <= 1e-9 * np.abs(modes.coordinates).max():
            return None  # the snapshots are on a line
        axes.append(np.linspace(column.min() - margin, column.max() + margin, points))
    directions = list(modes.directions)
    return slice_along(train, validation, modes.mean, directions, axes, "the two leading modes")


def _noise(train: Landscape, at: Tensor) -> Noise:
    return Noise(gradient_noise(train, at), ascent_sharpness(train, at))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _barrier(axis: FloatArray, values: FloatArray) -> float:
    on = (axis > -1e-9) & (axis < 1 + 1e-9)
    return barrier(axis[on], values[on]) if on.any() else math.nan
