"""A fitted ensemble of decision trees as plain arrays, evaluated without scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from grokpredict.runs.curve import FloatArray, IntArray

#: Rows that are evaluated at once, so that memory stays bounded.
_CHUNK = 2048

#: What a fitted ensemble does not reach by far: hundreds of trees with tens of leaves each.
MAX_TREES = 10_000
MAX_NODES = 500_000
MAX_DEPTH = 100


@dataclass(frozen=True, eq=False)
class Trees:
    """All nodes of all trees, one after the other; the probability is logistic in their sum.

    Parameters
    ----------
    root : ndarray of int, shape (n_trees,)
        First node of each tree.
    feature : ndarray of int, shape (n_nodes,)
        Column that a node compares.
    threshold : ndarray, shape (n_nodes,)
        A sample goes left if its value is not above this.
    left, right : ndarray of int, shape (n_nodes,)
        Children, behind their parent; a leaf is its own child.
    missing_left : ndarray of bool, shape (n_nodes,)
        Whether NaN goes left.
    value : ndarray, shape (n_nodes,)
        What a leaf adds to the log-odds.
    baseline : ndarray, shape (1,)
        Log-odds before the first tree.
    """

    root: IntArray
    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    missing_left: NDArray[np.bool_]
    value: FloatArray
    baseline: FloatArray

    def log_odds(self, x: FloatArray) -> FloatArray:
        """Return the log-odds of each row of ``x``, shape (n_rows, n_features); NaN is allowed."""
        out = np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            rows = x[start : start + _CHUNK]
            index = np.arange(len(rows))[:, None]
            node = np.broadcast_to(self.root, (len(rows), self.root.size))
            while True:
                seen = rows[index, self.feature[node]]
                goes_left = (seen <= self.threshold[node]) | (
                    np.isnan(seen) & self.missing_left[node]
                )
                below = np.where(goes_left, self.left[node], self.right[node])
                if np.array_equal(below, node):
                    break
                node = below
            out[start : start + _CHUNK] = self.value[node].sum(axis=1) + self.baseline[0]
        return out

    def probability(self, x: FloatArray) -> FloatArray:
        """Return the probability of each row of ``x``, shape (n_rows,)."""
        from scipy.special import expit

        return np.asarray(expit(self.log_odds(x)))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the fields by name, in the smallest type that holds them exactly."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for field in fields(self):
            array = getattr(self, field.name)
            if array.dtype.kind in "iu":
                array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
            arrays[field.name] = array
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], n_features: int) -> Trees:
        """Rebuild the trees, and see to it that following them ends and stays inside.

        Raises
        ------
        ValueError
            If a shape, type, index or value cannot come from a fitted ensemble.
        """
        for name in ("root", "feature", "left", "right"):
            if arrays[name].dtype.kind not in "iu":
                raise ValueError(f"{name} of the trees must be integers")
        # Before they are made eight times as large.
        if arrays["root"].size > MAX_TREES or arrays["feature"].size > MAX_NODES:
            raise ValueError(f"there may be {MAX_TREES} trees with {MAX_NODES} nodes in all")
        for name in (field.name for field in fields(cls)):
            if arrays[name].size > arrays["feature"].size:
                raise ValueError("the node arrays of the trees must be equally long")
        trees = cls(
            root=arrays["root"].astype(np.int64),
            feature=arrays["feature"].astype(np.int64),
            threshold=arrays["threshold"].astype(np.float64),
            left=arrays["left"].astype(np.int64),
            right=arrays["right"].astype(np.int64),
            missing_left=arrays["missing_left"].astype(np.bool_),
            value=arrays["value"].astype(np.float64),
            baseline=arrays["baseline"].astype(np.float64),
        )
        trees._check(n_features)
        return trees

    def _check(self, n_features: int) -> None:
        nodes = self.feature.size
        node = np.arange(nodes)
        per_node = (self.feature, self.threshold, self.left, self.right, self.missing_left)
        if any(array.shape != (nodes,) for array in (*per_node, self.value)) or not nodes:
            raise ValueError("the node arrays of the trees must be equally long")
        if self.baseline.shape != (1,) or self.root.ndim != 1 or not self.root.size:
            raise ValueError("trees must have one baseline and at least one root")
        leaf = (self.left == node) & (self.right == node)
        inner = (self.left > node) & (self.right > node)
        inside = (self.left < nodes) & (self.right < nodes)
        if not np.all((leaf | inner) & inside) or np.any((self.root < 0) | (self.root >= nodes)):
            raise ValueError("children of a tree's node must lie behind it")
        if np.any((self.feature < 0) | (self.feature >= n_features)):
            raise ValueError(f"trees must compare one of {n_features} features")
        if not (np.all(np.isfinite(self.value)) and np.all(np.isfinite(self.baseline))):
            raise ValueError("leaves of the trees must be finite")
        # An infinite threshold sends only NaN the other way.
        if np.any(np.isnan(self.threshold)):
            raise ValueError("thresholds of the trees must be numbers")
        self._check_depth(leaf)

    def _check_depth(self, leaf: NDArray[np.bool_]) -> None:
        """Refuse what a row would have to be led through for hours."""
        reached = np.zeros(leaf.size, dtype=np.bool_)
        reached[self.root] = True
        for _ in range(MAX_DEPTH):
            inner = np.flatnonzero(reached & ~leaf)
            if not inner.size:
                return
            reached[:] = False
            reached[self.left[inner]] = reached[self.right[inner]] = True
        raise ValueError(f"trees may be {MAX_DEPTH} levels deep")
