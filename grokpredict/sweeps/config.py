"""One training run's whole configuration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

#: Fields that fix the shapes of a network and its batches, so that runs can share a stack.
STRUCTURE = (
    "task", "modulus", "bits", "sparsity", "data_seed", "samples", "teacher_width",
    "architecture", "width", "depth", "heads", "layer_norm", "activation", "embedding", "loss",
    "batch_size", "bias", "tied", "embedding_std", "parametrisation", "precision", "operation",
    "unordered", "generation",
)  # fmt: skip

#: Fields that the first shards did not have: left out of the log where they say nothing new.
LATER = (
    "operation", "unordered", "bias", "tied", "embedding_std", "parametrisation", "precision",
    "generation",
)  # fmt: skip


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run of the generator.

    Parameters
    ----------
    family, task : str
        Where the configuration was drawn from, and the data set.
    modulus, bits, sparsity, samples, teacher_width : int
        Sizes of the data set, zero where the task has no use for one: p or n of S_n; bits and
        k of a parity; samples drawn; hidden units of a teacher.
    data_seed : int
        Draws the data set, where there is something to draw. ``seed`` draws the split, the
        initial weights and the batches.
    architecture : {"mlp", "transformer", "gru", "lstm", "gcn"}
        With ``depth`` layers of ``width`` units, ``activation`` between them.
    embedding : int
        Dimensions of the token embedding in front of an MLP or GRU; 0 gives an MLP one-hot inputs.
    loss : {"cross_entropy", "squared_error"}
        Squared error against one-hot targets, or against real-valued ones.
    momentum, beta2 : float
        Betas of the Adam family and Lion; momentum of SGD, RMSprop and Muon; RMSprop's alpha.
    batch_size : int
        0 for full batch.
    clip_norm, dropout, label_noise : float
        0 switches each off.
    train_fraction : float
        Share of all samples that is trained on.
    init_scale : float
        Multiplies PyTorch's usual initialisation (Omnigrok's alpha).
    max_steps : int
        The run's budget; a cosine schedule ends there.
    operation : str
        Which of a task's operations or functions, where it has several.
    unordered : bool
        Only pairs (a, b) with a <= b, so that no mirrored pair crosses the split.
    bias, tied : bool
        Whether an MLP has biases, and one embedding table for all positions.
    embedding_std : float
        Of a transformer's initial embeddings; 0 for 1 / sqrt(width).
    parametrisation : {"pytorch", "fan_in", "xavier", "mean_field"}
        See :func:`~grokpredict.sweeps.layers.linear`.
    precision : {"float32", "float64"}
        Of parameters and everything computed from them.
    generation : int
        2 evaluates on a grid that thins out with the step, flushes denormal numbers to zero and
        lays tokens out one-hot; 1, at every fiftieth step, is how the first shards were made.
    """

    family: str
    task: str
    architecture: str
    width: int
    depth: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    train_fraction: float
    max_steps: int
    seed: int
    modulus: int = 0
    bits: int = 0
    sparsity: int = 0
    samples: int = 0
    teacher_width: int = 0
    data_seed: int = 0
    heads: int = 0
    layer_norm: bool = False
    activation: str = "relu"
    embedding: int = 0
    loss: str = "cross_entropy"
    momentum: float = 0.9
    beta2: float = 0.98
    warmup_steps: int = 0
    schedule: str = "constant"
    batch_size: int = 0
    clip_norm: float = 0.0
    dropout: float = 0.0
    label_noise: float = 0.0
    init_scale: float = 1.0
    operation: str = ""
    unordered: bool = False
    bias: bool = True
    tied: bool = True
    embedding_std: float = 0.0
    parametrisation: str = "pytorch"
    precision: str = "float32"
    generation: int = 1

    @property
    def structure(self) -> tuple[Any, ...]:
        """What runs of one stack must have in common."""
        return tuple(getattr(self, name) for name in STRUCTURE)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary, ready for JSON."""
        usual = {f.name: f.default for f in fields(self) if f.name in LATER}
        return {k: v for k, v in asdict(self).items() if k not in usual or v != usual[k]}
