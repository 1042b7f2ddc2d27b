"""Sweeps, scores and evaluations as tables, with pandas and without."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from short_runs import BUDGET, run
from test_displays import SWEEP, finished

from grokpredict import Evaluation, Sweep, evaluate, read_sweep, score, score_sweep
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.axes import configuration_columns, varied
from grokpredict.runs.endings import endings
from grokpredict.runs.labels import outcome, phase


def test_a_sweep_is_a_row_a_run_with_outcome_and_configuration() -> None:
    table = SWEEP.to_pandas()
    assert isinstance(table, pd.DataFrame)
    assert table["run"].tolist() == [run.name for run in SWEEP.runs]
    assert table["outcome"].tolist() == ["doomed", "doomed", "good", "good", "good"]
    assert table["phase"].tolist() == [phase(run, 1000).value for run in SWEEP.runs]
    assert table["t4"].dropna().tolist() == [500, 150, 150]
    assert table["t2"].dropna().tolist() == [100, 100, 100, 100]
    assert table["learning_rate"].tolist() == [1e-4, 1e-3, 1e-3, 1e-2, 1e-2]
    assert table["seed"].tolist() == [0, 0, 0, 0, 1]
    assert "lr" not in table  # it is the learning rate
    assert set(table["budget"]) == {1000}


def test_without_pandas_it_is_a_dict_of_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = SWEEP.to_pandas()
    monkeypatch.setitem(sys.modules, "pandas", None)
    columns = SWEEP.to_pandas()
    assert type(columns) is dict
    assert list(columns) == expected.columns.tolist()
    assert columns["t4"] == [None, None, 500, 150, 150]


def test_a_longer_budget_makes_outcomes_unknown() -> None:
    """As in training: of runs planned for fewer steps only the good ones could be known."""
    assert SWEEP.to_pandas(budget=500)["outcome"].tolist() == ["doomed"] * 2 + ["good"] * 3
    assert SWEEP.to_pandas(budget=400)["outcome"].tolist() == ["doomed"] * 3 + ["good"] * 2
    assert set(SWEEP.to_pandas(budget=2000)["outcome"]) == {"unknown"}


def test_runs_without_a_plan_have_the_budget_of_the_longest() -> None:
    unplanned = [replace(run, max_steps=None) for run in SWEEP.runs]
    (end, *_) = endings(unplanned)
    assert (end.budget.steps, end.budget.source) == (1000, "the longest run")
    assert end.generalised == outcome(unplanned[0]).by(1000)


def test_hyperparameters_are_flat_and_hide_nothing() -> None:
    nested = replace(
        finished(1e-3, 0.1, memorised=100, generalised=500),
        hparams={"model": {"width": 64}, "phase": "warmup", "layers": [1, 2], "optim": "AdamW"},
    )
    table = Sweep([nested]).to_pandas()
    assert table["model.width"].tolist() == [64]
    assert table["phase"].tolist() == ["grokking"]
    assert table["hparams.phase"].tolist() == ["warmup"]
    assert table["layers"].tolist() == ["[1, 2]"]
    assert table["optimizer"].tolist() == ["adamw"]
    assert "optim" not in table


def test_axes_are_what_runs_differ_in() -> None:
    assert varied(configuration_columns(SWEEP.runs)) == ["learning_rate", "weight_decay"]


def test_scores_of_a_sweep_are_those_of_its_runs(classifier: GrokClassifier) -> None:
    sweep = Sweep([run(seed) for seed in range(1000, 1020)])
    seen: list[tuple[int, int]] = []
    scores = score_sweep(sweep, classifier, progress=lambda done, total: seen.append((done, total)))
    alone = [score(own, classifier) for own in sweep.runs]
    assert [each.to_dict() for each in scores] == [each.to_dict() for each in alone]
    assert seen[-1] == (20, 20)
    assert len(scores[:5]) == 5
    assert scores[3].run is sweep.runs[3]
    table = scores.to_pandas()
    aborted = table["verdict"] == "abort"
    assert aborted.any()
    assert not aborted.all()
    assert table["stopped"].notna().tolist() == aborted.tolist()
    assert (table["probability"][aborted] < table["threshold"][aborted]).all()
    assert set(table["budget"]) == {BUDGET}


def test_a_sweep_without_plans_is_scored_by_its_longest_run(classifier: GrokClassifier) -> None:
    sweep = Sweep([replace(run(seed), max_steps=None) for seed in range(1000, 1003)])
    for own in score_sweep(sweep, classifier):
        assert (own.verdict.budget, own.budget_source) == (BUDGET, "the longest run")


def test_an_evaluation_is_a_row_a_rule(classifier: GrokClassifier) -> None:
    found: Evaluation = evaluate(Sweep([run(seed) for seed in range(1000, 1016)]), classifier)
    table = found.to_pandas()
    parts = {"as it is": found.as_is, "to lose no more": found.matched,
             "within the bound": found.at_bound}  # fmt: skip
    assert table["chosen"].value_counts().to_dict() == {k: len(v) for k, v in parts.items()}
    for chosen, accounts in parts.items():
        rows = table[table["chosen"] == chosen]
        assert rows["rule"].tolist() == [account.rule for account in accounts]
        saved = np.array([account.saved.value for account in accounts], dtype=float)
        np.testing.assert_array_equal(rows["saved"].to_numpy(dtype=float), saved)
        assert (rows["lost_low"] <= rows["lost"]).all()


def test_scoring_takes_paths(tmp_path, classifier: GrokClassifier) -> None:
    rows = "".join(f"{step},{3 * 0.99**step!r}\n" for step in range(BUDGET))
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("step,train_loss\n" + rows)
    scores = score_sweep(tmp_path, classifier)
    assert [own.path for own in scores] == [own.name for own in read_sweep(tmp_path).runs]
