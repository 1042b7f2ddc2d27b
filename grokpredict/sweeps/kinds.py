"""The families of the second generation."""

from __future__ import annotations

from typing import Any

from numpy.random import Generator

from grokpredict.sweeps import samples, tables, tasks
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.draws import log_uniform
from grokpredict.sweeps.regimes import (
    Drawn,
    Regime,
    batches,
    mlp,
    needed,
    token_network,
    transformer,
)

_POWER = "Power et al. 2022, arXiv 2201.02177"
_LIU = "Liu et al. 2022, arXiv 2205.10343"
_NOTSAWO = "Notsawo et al. 2023, arXiv 2306.13253"
_DOSHI = "Doshi et al. 2024, arXiv 2406.03495"
_CHUGHTAI = "Chughtai, Chan, Nanda 2023, arXiv 2302.03025"
_BOOLEAN = "Bhattamishra et al. 2022, arXiv 2211.12316"
_OMNIGROK = "Liu, Michaud, Tegmark 2023, arXiv 2210.01117"

#: Learning rate times budget where a task is easy.
SLOW = (0.3, 30.0)
PRIMES = (17, 19, 23, 29, 31)
ADAMW = (("adamw", 0.85), ("adam", 0.05), ("muon", 0.04), ("lion", 0.06))


def _pairs(config: RunConfig) -> tasks.Dataset:
    if config.operation == "divide":
        return tasks.modular("divide", config.modulus)
    return tables.pairs(config.operation, config.modulus, unordered=config.unordered)


def _prime(rng: Generator, shard: int) -> int:
    """Draw a modulus; one shard in twelve has a large one, on which runs are short."""
    if shard % 12 == 10:
        return int(rng.choice((37, 43, 59)))
    return int(rng.choice(PRIMES, p=(0.3, 0.25, 0.2, 0.15, 0.1)))


def public(*operations: str, more: float = 1.0) -> Any:
    """Return what draws the run that most people publish, on one of some operations."""

    def structure(rng: Generator, shard: int) -> Drawn:
        p = _prime(rng, shard)
        return {
            "task": "pairs",
            "operation": str(rng.choice(operations)),
            "modulus": p,
            **transformer(rng, layer_norm=0.25),
            "batch_size": 0,
            "train_fraction": min(more * needed(rng, p, 0.8, 1.35), 0.92),
            "seconds": 3.0,  # in these, generalisation comes late
        }

    return structure


def public_rates(rng: Generator, budget: int) -> Drawn:
    """Draw AdamW as public code has it for half of the runs."""
    if rng.random() < 0.5:
        return {}
    return {
        "optimizer": "adamw",
        "momentum": 0.9,
        "learning_rate": log_uniform(rng, 3e-4, 3e-3),
        "weight_decay": log_uniform(rng, 0.1, 3.0),
        "beta2": float(rng.choice([0.98, 0.999])),
    }


def arithmetic(*operations: str, unordered: bool = False, more: float = 1.0) -> Any:
    """Return what draws any network on one of some operations mod p."""

    def structure(rng: Generator, shard: int) -> Drawn:
        p = _prime(rng, shard)
        fraction = more * needed(rng, p, 0.8, 1.35)
        return {
            "task": "pairs",
            "operation": str(rng.choice(operations)),
            "modulus": p,
            "unordered": unordered,
            **token_network(rng, shard),
            "train_fraction": min(fraction, 0.92),
        }

    return structure


def embedded(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP on concatenated embeddings of standard deviation 1."""
    drawn = arithmetic("add", "subtract", "multiply", "weighted")(rng, shard)
    return {k: drawn[k] for k in ("task", "operation", "modulus", "train_fraction")} | {
        **mlp(rng, embedded=True),
        **batches(rng),
    }


def quadratic_network(rng: Generator, shard: int) -> Drawn:
    """Draw a two-layer network without biases, squares between, squared error."""
    drawn = arithmetic("add", "subtract", "weighted", "multiply")(rng, shard)
    return {k: drawn[k] for k in ("task", "operation", "modulus", "train_fraction")} | {
        **mlp(rng, embedded=False),
        **batches(rng),
        "depth": 1,
        "width": int(rng.choice([32, 48, 64, 96])),
        "activation": "square",
        "bias": False,
        "loss": "squared_error",
    }


def collapse(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP in either precision; without decay float32 makes its softmax collapse."""
    drawn = arithmetic("add", "multiply")(rng, shard)
    return {k: drawn[k] for k in ("task", "operation", "modulus", "train_fraction")} | {
        **mlp(rng, embedded=bool(rng.random() < 0.5), squared=0.0),
        "precision": str(rng.choice(["float32", "float64"])),
        "batch_size": 0,
    }


def collapse_rates(rng: Generator, budget: int) -> Drawn:
    """Draw no decay for a third of the runs and little for the others."""
    if rng.random() < 0.35:
        return {"weight_decay": 0.0}
    return {}


def three_operands(rng: Generator, shard: int) -> Drawn:
    """Draw a sum of three operands."""
    p = int(rng.choice([5, 7, 9, 11]))
    return {
        "task": "triples",
        "operation": str(rng.choice(["sum", "alternating", "mixed"])),
        "modulus": p,
        **token_network(rng, shard),
        "train_fraction": log_uniform(rng, 0.5, 0.9) if p < 9 else log_uniform(rng, 0.35, 0.8),
    }


def numbers(*operations: str, low: float, high: float) -> Any:
    """Return what draws any network on one of some operations on the numbers below n."""

    def structure(rng: Generator, shard: int) -> Drawn:
        return {
            "task": "pairs",
            "operation": str(rng.choice(operations)),
            "modulus": int(rng.integers(14, 33)),
            "unordered": bool(rng.random() < 0.3) and "less" not in " ".join(operations),
            **token_network(rng, shard),
            "train_fraction": log_uniform(rng, low, high),
        }

    return structure


def bitwise(rng: Generator, shard: int) -> Drawn:
    """Draw an operation on the bits of numbers of four or five bits."""
    return {
        "task": "pairs",
        "operation": str(rng.choice(["xor", "and", "or"])),
        "modulus": int(rng.choice([16, 32], p=[0.7, 0.3])),
        **token_network(rng, shard),
        "train_fraction": log_uniform(rng, 0.4, 0.88),
    }


def groups(choices: tuple[tuple[str, int], ...]) -> Any:
    """Return what draws any network on the product of one of some groups."""

    def structure(rng: Generator, shard: int) -> Drawn:
        operation, n = choices[int(rng.integers(len(choices)))]
        return {
            "task": "group",
            "operation": operation,
            "modulus": n,
            **token_network(rng, shard),
            "train_fraction": log_uniform(rng, 0.62, 0.92),
        }

    return structure


_SMALL_GROUPS = (
    *(("dicyclic", n) for n in (3, 4, 5, 6, 7, 8)),
    *(("cyclic_product", n) for n in (8, 10, 12, 14, 16)),
    ("alternating", 4),
    ("affine", 5),
    ("affine", 7),
)
_MATRICES = (("heisenberg", 3), ("matrices", 2), ("invertible", 3), ("heisenberg", 2))


def noisy(rng: Generator, budget: int) -> Drawn:
    """Draw the share of wrong labels."""
    return {"label_noise": float(rng.choice([0.01, 0.02, 0.05, 0.1]))}


def vectors(rng: Generator, shard: int, *, regression: bool = False) -> Drawn:
    """Draw an MLP on real-valued inputs."""
    drawn = mlp(rng, embedded=False)
    if regression:
        drawn["loss"] = "squared_error"
    return drawn | batches(rng, 0.6) | {"data_seed": int(rng.integers(2**31))}


def boolean(function: str) -> Any:
    """Return what draws an MLP on a Boolean function."""

    def structure(rng: Generator, shard: int) -> Drawn:
        n_bits = int(rng.integers(8, 21) if function == "dnf" else rng.integers(12, 41))
        k = {
            "majority": int(rng.choice([3, 5, 7, 9])),
            "parity": int(rng.choice([2, 3, 4], p=[0.3, 0.5, 0.2])),
            "dnf": int(rng.integers(2, 5)),
        }[function]
        fractions = {"majority": (0.03, 0.2), "parity": (0.05, 0.3), "dnf": (0.2, 0.85)}[function]
        return {
            "task": "boolean",
            "operation": function,
            "bits": n_bits,
            "sparsity": k,
            "samples": 1500,
            **vectors(rng, shard),
            "train_fraction": log_uniform(rng, *fractions),
        }

    return structure


def regression(task: str, low: float, high: float) -> Any:
    """Return what draws an MLP on a regression with some relevant inputs."""

    def structure(rng: Generator, shard: int) -> Drawn:
        drawn = {
            "task": task,
            "bits": int(rng.integers(6, 16) if task == "products" else rng.integers(8, 31)),
            "sparsity": int(rng.integers(1, 3 if task == "products" else 5))
            + (task == "staircase"),
            "samples": 1500,
            **vectors(rng, shard, regression=True),
            "train_fraction": log_uniform(rng, low, high),
        }
        if task in ("sparse_linear", "linear_teacher"):
            drawn["activation"] = str(rng.choice(["identity", "relu", "tanh"]))
            drawn["depth"] = int(rng.choice([1, 2, 3]))
        return drawn

    return structure


def linear_teacher(rng: Generator, shard: int) -> Drawn:
    """Draw a linear student, of one or two layers, with about as many samples as inputs."""
    dim = int(rng.integers(20, 101))
    return {
        "task": "linear_teacher",
        "bits": dim,
        "samples": 1000,
        **vectors(rng, shard, regression=True),
        "depth": int(rng.choice([0, 1])),
        "activation": "identity",
        "train_fraction": dim / 1000 * log_uniform(rng, 0.75, 1.4),
    }


def constant_label(rng: Generator, shard: int) -> Drawn:
    """Draw a logistic regression, or a small MLP, near two samples a dimension."""
    dim = int(rng.integers(20, 101))
    return {
        "task": "constant_label",
        "bits": dim,
        "samples": 1500,
        **vectors(rng, shard),
        "depth": int(rng.choice([0, 1], p=[0.7, 0.3])),
        "loss": "cross_entropy",
        "bias": True,
        "train_fraction": dim / 1500 * log_uniform(rng, 1.0, 2.8),
    }


def small_rates(rng: Generator, budget: int) -> Drawn:
    """Draw gradient descent with a small rate and little decay, or leave it at the usual."""
    if rng.random() < 0.3:
        return {}
    return {
        "optimizer": "sgd",
        "momentum": 0.0,
        "learning_rate": min(log_uniform(rng, 3.0, 3000.0) / budget, 0.5),
        "weight_decay": 0.0 if rng.random() < 0.4 else log_uniform(rng, 1e-5, 1e-2),
    }


def large_start(rng: Generator, budget: int) -> Drawn:
    """Draw Omnigrok's initialisation scale for most runs."""
    return {"init_scale": log_uniform(rng, 1.0, 8.0)} if rng.random() < 0.7 else {}


def omnigrok_teacher(rng: Generator, shard: int) -> Drawn:
    """Draw Omnigrok's student, 5-100-100-5."""
    return {
        "task": "omnigrok_teacher",
        "samples": 1000,
        **vectors(rng, shard, regression=True),
        "depth": 2,
        "width": 100,
        "activation": "tanh",
        "batch_size": int(rng.choice([0, 32])),
        "parametrisation": str(rng.choice(["pytorch", "xavier", "fan_in"])),
        "precision": "float32",
        "train_fraction": log_uniform(rng, 0.015, 0.1),
    }


def tabular(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP on one of scikit-learn's tables."""
    name = ("wine", "breast_cancer", "iris", "digits", "wine", "breast_cancer", "diabetes")[
        shard % 7
    ]
    fractions = {
        "wine": (0.12, 0.7), "breast_cancer": (0.03, 0.5), "iris": (0.1, 0.7),
        "digits": (0.05, 0.4), "diabetes": (0.1, 0.8),
    }[name]  # fmt: skip
    return {
        "task": "table",
        "operation": name,
        **vectors(rng, shard, regression=name == "diabetes"),
        "data_seed": 0,
        "train_fraction": log_uniform(rng, *fractions),
    }


def markov(rng: Generator, shard: int) -> Drawn:
    """Draw an LSTM or a GRU that tells two Markov chains apart."""
    return {
        "task": "words",
        "modulus": int(rng.choice([4, 6, 8])),
        "bits": int(rng.choice([10, 12, 14])),
        "sparsity": 100,
        "samples": 1200,
        "data_seed": int(rng.integers(2**31)),
        "architecture": str(rng.choice(["lstm", "gru"])),
        "depth": 1,
        "width": int(rng.choice([12, 16, 24])),
        "embedding": int(rng.choice([8, 16])),
        "batch_size": int(rng.choice([0, 32, 64], p=[0.3, 0.4, 0.3])),
        "train_fraction": log_uniform(rng, 0.08, 0.4),
    }


def graphs(rng: Generator, shard: int) -> Drawn:
    """Draw a graph convolution on random molecules."""
    squared = bool(rng.random() < 0.5)
    return {
        "task": "graphs",
        "bits": int(rng.choice([5, 6, 7])),
        "sparsity": 2,
        "samples": 1000,
        "data_seed": int(rng.integers(2**31)),
        "operation": "energy" if squared else "above_median",
        "loss": "squared_error" if squared else "cross_entropy",
        "architecture": "gcn",
        "depth": int(rng.choice([2, 3])),
        "width": int(rng.choice([12, 16, 24])),
        "batch_size": int(rng.choice([32, 64])),
        "parametrisation": str(rng.choice(["pytorch", "xavier"])),
        "train_fraction": log_uniform(rng, 0.3, 0.85),
        "most_steps": 8000,
    }


def xor_clusters(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP on four clusters."""
    dim = int(rng.integers(20, 81))
    return {
        "task": "xor_clusters",
        "bits": dim,
        "sparsity": int(rng.integers(28, 45)),
        "samples": 1500,
        **vectors(rng, shard),
        "train_fraction": dim / 1500 * log_uniform(rng, 0.5, 2.5),
    }


def _boolean(config: RunConfig) -> tasks.Dataset:
    return samples.boolean(
        config.operation, config.bits, config.sparsity, config.samples, config.data_seed
    )


REGIMES: tuple[Regime, ...] = (
    Regime(
        "public-addition",
        f"a + b mod p as most public code trains it; {_POWER}",
        _pairs,
        public("add"),
        public_rates,
        ADAMW,
    ),
    Regime(
        "public-subtraction",
        f"a - b mod p likewise; {_POWER}",
        _pairs,
        public("subtract"),
        public_rates,
        ADAMW,
    ),
    Regime(
        "public-multiplication",
        f"a b mod p likewise; {_POWER}",
        _pairs,
        public("multiply"),
        public_rates,
        ADAMW,
    ),
    Regime(
        "public-division",
        f"a / b mod p likewise; {_POWER}",
        _pairs,
        public("divide"),
        public_rates,
        ADAMW,
    ),
    Regime(
        "public-polynomials",
        f"a^2 + b^2, (a + b)^2, ab + a + b mod p; {_POWER}",
        _pairs,
        public("squares", "square_of_sum", "shifted_product"),
        public_rates,
        ADAMW,
    ),
    Regime(
        "unordered-addition",
        f"a + b mod p, p (p + 1) / 2 pairs; {_NOTSAWO}",
        _pairs,
        arithmetic("add", unordered=True, more=1.3),
    ),
    Regime(
        "unordered-products",
        f"symmetric polynomials mod p, unordered; {_NOTSAWO}",
        _pairs,
        arithmetic("multiply", "squares", "shifted_product", unordered=True, more=1.3),
    ),
    Regime("embedded", f"MLPs on concatenated embeddings; {_LIU}", _pairs, embedded),
    Regime(
        "quadratic-network",
        "squares as activation; Gromov 2023, arXiv 2301.02679",
        _pairs,
        quadratic_network,
    ),
    Regime(
        "softmax-collapse",
        "float32 and float64; Prieto et al. 2025, arXiv 2501.04697",
        _pairs,
        collapse,
        collapse_rates,
    ),
    Regime(
        "polynomials",
        f"2a + 3b, a^2 + b^2, a^3 + ab ... mod p; {_DOSHI}",
        _pairs,
        arithmetic("weighted", "squares", "square_of_sum", "cubic", more=1.1),
    ),
    Regime(
        "three-operands",
        f"a + b + c, a - b + c, a + bc mod p; {_DOSHI}",
        lambda c: tables.triples(c.operation, c.modulus),
        three_operands,
    ),
    Regime(
        "maximum",
        "max, min, |a - b|; Gross et al. 2024, arXiv 2406.11779",
        _pairs,
        numbers("maximum", "minimum", "difference", low=0.25, high=0.85),
    ),
    Regime(
        "comparison",
        "a < b; Hanna et al. 2023, arXiv 2305.00586",
        _pairs,
        numbers("less", "next_less", low=0.15, high=0.6),
    ),
    Regime(
        "gcd",
        "greatest common divisor; Charton 2023, arXiv 2308.15594",
        _pairs,
        numbers("gcd", low=0.5, high=0.9),
    ),
    Regime(
        "bitwise", f"xor, and, or of numbers of n bits, in the manner of {_POWER}", _pairs, bitwise
    ),
    Regime(
        "small-groups",
        f"quaternions and other small groups; {_CHUGHTAI}",
        lambda c: tables.group(c.operation, c.modulus),
        groups(_SMALL_GROUPS),
    ),
    Regime(
        "matrices",
        "matrices over F_2 and F_3; Stander et al. 2023, arXiv 2312.06581",
        lambda c: tables.group(c.operation, c.modulus),
        groups(_MATRICES),
    ),
    Regime(
        "noisy-labels",
        "arithmetic with wrong labels; Nanda et al. 2023, arXiv 2301.05217",
        _pairs,
        arithmetic("add", "subtract", "multiply", more=1.2),
        noisy,
    ),
    Regime(
        "majority",
        f"majority of k of n bits; {_BOOLEAN}",
        _boolean,
        boolean("majority"),
        large_start,
        pace=SLOW,
    ),
    Regime(
        "dnf",
        f"random disjunctive normal forms; {_BOOLEAN}",
        _boolean,
        boolean("dnf"),
        large_start,
    ),
    Regime(
        "sparse-parity",
        "parity of 2 to 4 of n bits; Barak et al. 2022, arXiv 2207.08799",
        _boolean,
        boolean("parity"),
        pace=SLOW,
    ),
    Regime(
        "staircase",
        "x1 + x1 x2 + ...; Abbe et al. 2022, arXiv 2202.08658",
        lambda c: samples.staircase(c.bits, c.sparsity, c.samples, c.data_seed),
        regression("staircase", 0.08, 0.6),
        pace=SLOW,
    ),
    Regime(
        "sparse-regression",
        "linear in k inputs; Lyu et al. 2023, arXiv 2311.18817",
        lambda c: samples.sparse_linear(c.bits, c.sparsity, c.samples, c.data_seed),
        regression("sparse_linear", 0.02, 0.12),
        large_start,
    ),
    Regime(
        "products",
        "sums of products; in the manner of Kumar et al., arXiv 2310.06110",
        lambda c: samples.products(c.bits, c.sparsity, c.samples, c.data_seed),
        regression("products", 0.2, 0.85),
        large_start,
    ),
    Regime(
        "linear-teacher",
        "linear networks; Levi et al. 2023, arXiv 2310.16441",
        lambda c: samples.linear_teacher(c.bits, c.samples, c.data_seed),
        linear_teacher,
        small_rates,
        pace=SLOW,
    ),
    Regime(
        "constant-label",
        "edge of separability; Beck et al. 2024, arXiv 2410.04489",
        lambda c: samples.constant_label(c.bits, c.samples, c.data_seed),
        constant_label,
        small_rates,
        pace=SLOW,
    ),
    Regime(
        "omnigrok-teacher",
        f"5-100-100-5, a teacher as large; {_OMNIGROK}",
        lambda c: samples.omnigrok_teacher(c.samples, c.data_seed),
        omnigrok_teacher,
        large_start,
        pace=SLOW,
    ),
    Regime(
        "tables",
        f"scikit-learn's tables, large initial weights as in {_OMNIGROK}",
        lambda c: samples.table(c.operation),
        tabular,
        large_start,
        pace=SLOW,
    ),
    Regime(
        "markov",
        f"LSTM or GRU on two Markov chains, IMDb in kind; {_OMNIGROK}",
        lambda c: tables.words(c.samples, c.bits, c.modulus, c.sparsity / 100, c.data_seed),
        markov,
    ),
    Regime(
        "graphs",
        f"graph convolutions, QM9 in kind; {_OMNIGROK}",
        lambda c: samples.graphs(
            c.bits, c.sparsity, c.samples, c.data_seed, regression=c.operation == "energy"
        ),
        graphs,
    ),
    Regime(
        "xor-clusters",
        "four Gaussian clusters; Xu et al. 2023, arXiv 2310.02541",
        lambda c: samples.xor_clusters(c.bits, c.samples, c.sparsity / 10, c.data_seed),
        xor_clusters,
        pace=SLOW,
    ),
)
