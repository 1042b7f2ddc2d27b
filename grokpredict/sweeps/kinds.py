"""The families of the second generation, each with its source."""

from __future__ import annotations

from collections.abc import Callable

from grokpredict.sweeps import samples, tables
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.regimes import Regime
from grokpredict.sweeps.sources import BOOLEAN, DOSHI, LIU, NOTSAWO, OMNIGROK, POWER
from grokpredict.sweeps.tasks import Dataset
from grokpredict.sweeps.token_kinds import (
    MATRICES,
    SMALL_GROUPS,
    arithmetic,
    bitwise,
    collapse,
    collapse_rates,
    embedded,
    groups,
    noisy,
    numbers,
    pairs_data,
    public,
    public_rates,
    quadratic_network,
    three_operands,
)
from grokpredict.sweeps.vector_kinds import (
    boolean,
    boolean_data,
    constant_label,
    graphs,
    large_start,
    linear_teacher,
    markov,
    omnigrok_teacher,
    regression,
    small_rates,
    tabular,
    xor_clusters,
)

#: Learning rate times budget where a task is easy.
SLOW = (0.1, 6.0)
ADAMW = (("adamw", 0.85), ("adam", 0.05), ("muon", 0.04), ("lion", 0.06))


def _public(name: str, formula: str, *operations: str) -> Regime:
    """Return the family of the run that most people publish, on one of some operations."""
    return Regime(
        f"public-{name}",
        f"{formula}; {POWER}",
        pairs_data,
        public(*operations),
        public_rates,
        ADAMW,
    )


def _by(make: Callable[[int, int, int, int], Dataset]) -> Callable[[RunConfig], Dataset]:
    """Return what makes a data set of some inputs, relevant ones, samples and a seed."""
    return lambda c: make(c.bits, c.sparsity, c.samples, c.data_seed)


def _group_data(config: RunConfig) -> Dataset:
    return tables.group(config.operation, config.modulus)


REGIMES: tuple[Regime, ...] = (
    _public("addition", "a + b mod p as most public code trains it", "add"),
    _public("subtraction", "a - b mod p likewise", "subtract"),
    _public("multiplication", "a b mod p likewise", "multiply"),
    _public("division", "a / b mod p likewise", "divide"),
    _public(
        "polynomials",
        "a^2 + b^2, (a + b)^2, ab + a + b mod p",
        "squares",
        "square_of_sum",
        "shifted_product",
    ),
    Regime(
        "unordered-addition",
        f"a + b mod p, p (p + 1) / 2 pairs; {NOTSAWO}",
        pairs_data,
        arithmetic("add", unordered=True, more=1.3),
    ),
    Regime(
        "unordered-products",
        f"symmetric polynomials mod p, unordered; {NOTSAWO}",
        pairs_data,
        arithmetic("multiply", "squares", "shifted_product", unordered=True, more=1.3),
    ),
    Regime("embedded", f"MLPs on concatenated embeddings; {LIU}", pairs_data, embedded),
    Regime(
        "quadratic-network",
        "squares as activation; Gromov 2023, arXiv 2301.02679",
        pairs_data,
        quadratic_network,
    ),
    Regime(
        "softmax-collapse",
        "float32 and float64; Prieto et al. 2025, arXiv 2501.04697",
        pairs_data,
        collapse,
        collapse_rates,
    ),
    Regime(
        "polynomials",
        f"2a + 3b, a^2 + b^2, a^3 + ab ... mod p; {DOSHI}",
        pairs_data,
        arithmetic("weighted", "squares", "square_of_sum", "cubic", more=1.2),
    ),
    Regime(
        "three-operands",
        f"a + b + c, a - b + c, a + bc mod p; {DOSHI}",
        lambda c: tables.triples(c.operation, c.modulus),
        three_operands,
    ),
    Regime(
        "maximum",
        "max, min, |a - b|; Gross et al. 2024, arXiv 2406.11779",
        pairs_data,
        numbers("maximum", "minimum", "difference", low=0.25, high=0.85),
    ),
    Regime(
        "comparison",
        "a < b; Hanna et al. 2023, arXiv 2305.00586",
        pairs_data,
        numbers("less", "next_less", low=0.15, high=0.6),
    ),
    Regime(
        "gcd",
        "greatest common divisor; Charton 2023, arXiv 2308.15594",
        pairs_data,
        numbers("gcd", low=0.5, high=0.9),
    ),
    Regime(
        "bitwise",
        f"xor, and, or of numbers of n bits, in the manner of {POWER}",
        pairs_data,
        bitwise,
    ),
    Regime(
        "small-groups",
        "quaternions and other small groups; Chughtai, Chan, Nanda 2023, arXiv 2302.03025",
        _group_data,
        groups(SMALL_GROUPS),
    ),
    Regime(
        "matrices",
        "matrices over F_2 and F_3; Stander et al. 2023, arXiv 2312.06581",
        _group_data,
        groups(MATRICES),
    ),
    Regime(
        "noisy-labels",
        "arithmetic with wrong labels; Nanda et al. 2023, arXiv 2301.05217",
        pairs_data,
        arithmetic("add", "subtract", "multiply", more=1.2),
        noisy,
    ),
    Regime(
        "majority",
        f"majority of k of n bits; {BOOLEAN}",
        boolean_data,
        boolean("majority"),
        large_start,
        pace=SLOW,
    ),
    Regime(
        "dnf",
        f"random disjunctive normal forms; {BOOLEAN}",
        boolean_data,
        boolean("dnf"),
        large_start,
        pace=(0.3, 12.0),
    ),
    Regime(
        "sparse-parity",
        "parity of 2 or 3 of n bits; Barak et al. 2022, arXiv 2207.08799",
        boolean_data,
        boolean("parity"),
        pace=(2.0, 60.0),
    ),
    Regime(
        "staircase",
        "x1 + x1 x2 + ...; Abbe et al. 2022, arXiv 2202.08658",
        _by(samples.staircase),
        regression("staircase", 0.08, 0.6),
        pace=SLOW,
    ),
    Regime(
        "sparse-regression",
        "linear in k inputs; Lyu et al. 2023, arXiv 2311.18817",
        _by(samples.sparse_linear),
        regression("sparse_linear", 0.02, 0.12),
        large_start,
        pace=SLOW,
    ),
    Regime(
        "products",
        "sums of products; in the manner of Kumar et al., arXiv 2310.06110",
        _by(samples.products),
        regression("products", 0.2, 0.85),
        large_start,
        pace=(1.0, 30.0),
    ),
    Regime(
        "linear-teacher",
        "linear networks; Levi et al. 2023, arXiv 2310.16441",
        lambda c: samples.linear_teacher(c.bits, c.samples, c.data_seed),
        linear_teacher,
        small_rates(1.0, 1000.0),
        pace=SLOW,
    ),
    Regime(
        "constant-label",
        "edge of separability; Beck et al. 2024, arXiv 2410.04489",
        lambda c: samples.constant_label(c.bits, c.samples, c.data_seed),
        constant_label,
        small_rates(1.0, 60.0),
        pace=(0.5, 10.0),
    ),
    Regime(
        "omnigrok-teacher",
        f"5-100-100-5, a teacher as large; {OMNIGROK}",
        lambda c: samples.omnigrok_teacher(c.samples, c.data_seed),
        omnigrok_teacher,
        large_start,
        pace=SLOW,
    ),
    Regime(
        "tables",
        f"scikit-learn's tables, large initial weights as in {OMNIGROK}",
        lambda c: samples.table(c.operation),
        tabular,
        large_start,
        pace=(0.03, 3.0),
    ),
    Regime(
        "markov",
        f"LSTM or GRU on two Markov chains, IMDb in kind; {OMNIGROK}",
        lambda c: tables.words(c.samples, c.bits, c.modulus, c.sparsity / 100, c.data_seed),
        markov,
    ),
    Regime(
        "graphs",
        f"graph convolutions, QM9 in kind; {OMNIGROK}",
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
