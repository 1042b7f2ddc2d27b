"""Fits the ensemble with scikit-learn and takes it out as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from grokpredict.features.columns import BUDGET_COLUMN
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray

#: Columns along which P may not fall.
_GROWING = {BUDGET_COLUMN, "log10_budget", "log10_lr_wd_budget", "log10_lr_budget"}

N_TREES = 150
LEARNING_RATE = 0.06
MAX_LEAVES = 15
L2 = 1.0

#: Bins of a feature. Time goes mostly into histograms; more bins rank no better.
MAX_BINS = 64

#: A leaf holds at least so many runs, reckoned in rows of the table: docs/classifier.md compares.
RUNS_IN_A_LEAF = 10

#: But no more than this share of the runs, or a small sweep would get no tree at all.
_LARGEST_LEAF = 0.05

#: More rows than this are drawn from: the trees' size is bounded, and so are time and memory.
MAX_ROWS = 300_000

#: Rows that the exported trees are compared on; all would take as long as the fit.
_COMPARED = 2000

#: Largest difference to scikit-learn's own probabilities that passes for rounding.
_ROUNDING = 1e-9


def fit_trees(
    x: FloatArray,
    y: BoolArray,
    names: Sequence[str],
    *,
    rows_per_run: float,
    seed: int,
) -> Trees:
    """Fit gradient-boosted trees whose probability never falls as the budget grows.

    Parameters
    ----------
    x : ndarray, shape (n_rows, n_columns)
        NaN where a value is not known.
    y : ndarray of bool, shape (n_rows,)
        Both classes.
    names : sequence of str
        Names of the columns; those that grow with the budget are constrained.
    rows_per_run : float
        Rows that a run has on average, which are not independent of each other.
    seed : int
        Decides which rows are used when there are more than :data:`MAX_ROWS`.

    Returns
    -------
    Trees
        Whose probabilities equal scikit-learn's.
    """
    if len(x) > MAX_ROWS:
        drawn = np.random.default_rng(seed).choice(len(x), MAX_ROWS, replace=False)
        drawn.sort()
        rows_per_run *= MAX_ROWS / len(x)
        x, y = x[drawn], y[drawn]
    # scikit-learn 1.9 trips over a column without a single value; on a constant nothing splits.
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        x = np.where(empty, 0.0, x)
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES,
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=MAX_LEAVES,
        min_samples_leaf=max(1, round(min(RUNS_IN_A_LEAF * rows_per_run, _LARGEST_LEAF * len(x)))),
        l2_regularization=L2,
        max_bins=MAX_BINS,
        monotonic_cst=[int(name in _GROWING) for name in names],
        early_stopping=False,
        random_state=seed,
    )
    # OpenMP's threads wait for each other, and on a busy machine for very long; callers that have
    # several fits to make use processes.
    with threadpool_limits(1, user_api="openmp"):
        model.fit(x, y)
        return exported(model, x)


def exported(model: HistGradientBoostingClassifier, x: FloatArray) -> Trees:
    """Return a fitted binary model's trees, having seen that they give its probabilities.

    Parameters
    ----------
    model : HistGradientBoostingClassifier
        Fitted to two classes.
    x : ndarray, shape (n_rows, n_columns)
        Rows of which some are compared.

    Raises
    ------
    RuntimeError
        If they do not: the attributes that hold the trees are private to scikit-learn and may
        change, which must come out here and not in use.
    """
    import sklearn

    nodes = [predictors[0].nodes for predictors in model._predictors]
    sizes = np.array([len(tree) for tree in nodes])
    root = np.cumsum(sizes) - sizes
    flat = np.concatenate(nodes)
    shift = np.repeat(root, sizes)
    node = np.arange(len(flat))
    leaf = flat["is_leaf"].astype(bool)
    trees = Trees(
        root=root.astype(np.int64),
        feature=np.where(leaf, 0, flat["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, 0.0, flat["num_threshold"]).astype(np.float64),
        left=np.where(leaf, node, flat["left"].astype(np.int64) + shift),
        right=np.where(leaf, node, flat["right"].astype(np.int64) + shift),
        missing_left=(flat["missing_go_to_left"].astype(bool) & ~leaf),
        value=np.where(leaf, flat["value"], 0.0).astype(np.float64),
        baseline=np.asarray(model._baseline_prediction, dtype=np.float64).ravel(),
    )
    some = x[:: -(-len(x) // _COMPARED)]
    off = np.abs(trees.probability(some) - model.predict_proba(some)[:, 1]).max()
    if not off <= _ROUNDING:
        raise RuntimeError(
            f"the trees of scikit-learn {sklearn.__version__} cannot be exported (probabilities "
            f"differ by {off:.2g}); train with a version that grokpredict was tested with"
        )
    return Trees.from_arrays(trees.arrays(), x.shape[1])
