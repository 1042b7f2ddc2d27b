"""What is said about runs that are unlike the training sweeps.

    python benchmarks/bench_strangers.py             # made runs
    python benchmarks/bench_strangers.py --families  # kinds of task left out

The first table is of real but strange training runs: a character-level transformer on Python's
standard library, regressions that converge at once, runs that diverge, networks that learn nothing,
and the same on step grids that no classifier knows. None of them may be stopped for its
strangeness; what is stopped all the same is counted.

The second is of the runs of `data/sweeps`, each judged by models, and turned away by limits, that
have not seen its kind of task: good runs lost, with the Clopper-Pearson interval of their share; of
the oracle's steps saved; of runs never judged. The thresholds are those of the other kinds' runs,
on scores of five folds over whole networks. The fits behind those scores have seen the kind in
question, but no score of a run of it counts. Scores of fits without it would be exact, and take
five times as long.
The promise is for runs like those of the training and does not cover this; the table says what to
expect.
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from grokpredict.evaluation.ledger import Finished, finished, ledger
from grokpredict.evaluation.replay import Replay
from grokpredict.evaluation.scoring import score
from grokpredict.features import window
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.signal import feature_names
from grokpredict.logs import read_sweep
from grokpredict.model.classifier import load_classifier
from grokpredict.model.familiarity import fit_familiar
from grokpredict.model.reading import CONFIGURATION, VALIDATION, WINDOW_READS, in_words
from grokpredict.model.thresholds import abort_threshold, independent_scores
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run
from grokpredict.training.cross_validation import FOLDS, folds, held_out_scores
from grokpredict.training.table import columns, extract_grids, known_runs

HORIZONS = (200, 400, 800, 1600, 3200)
SWEEPS = Path(__file__).parents[1] / "data/sweeps"
STEPS = 2000
BUDGET = 10_000


def made(name, loss, configuration=None, stride=1):
    """Return a run that was logged every ``stride`` steps."""
    steps = np.arange(stride - 1, stride * len(loss), stride)
    return Run(
        {"train_loss": Curve(steps, np.asarray(loss, dtype=float))},
        configuration=configuration or Configuration(),
        max_steps=BUDGET,
        name=name,
    )


def regression(rate, seed, steps=STEPS, batch=32):
    """Fit a noisy plane by SGD; return the losses. At a rate of 1 it diverges."""
    rng = np.random.default_rng(seed)
    truth, weights = rng.standard_normal(8), np.zeros(8)
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            x = rng.standard_normal((batch, 8))
            error = x @ (weights - truth) + 0.1 * rng.standard_normal(batch)
            losses.append(float(np.mean(error**2)))
            weights = weights - rate * 2 * x.T @ error / batch
    return losses


def at_once():
    """Return regressions that are done within some tens of steps."""
    told = Configuration(
        "sgd", None, 0.0, momentum=0.0, batch_size=32, train_size=10**5, n_parameters=8
    )
    return [
        made(f"rate {rate}", regression(rate, seed), replace(told, learning_rate=rate))
        for rate in (0.03, 0.1)
        for seed in range(3)
    ]


def diverging():
    """Return runs whose loss leaves for infinity, at once and after a while."""
    fast = [regression(rate, seed) for rate in (1.0, 2.0) for seed in range(2)]
    t = np.arange(STEPS)
    slow = [np.exp(t / scale) for scale in (300, 900)]
    return [made(f"diverging {i}", loss) for i, loss in enumerate([*fast, *slow])]


def constant():
    """Return losses of networks that learn nothing: exactly constant, and with batch noise."""
    rng = np.random.default_rng(0)
    flat = [np.full(STEPS, level) for level in (0.0, np.log(97), 1e-8)]
    noisy = [np.log(97) * (1 + size * rng.standard_normal(STEPS)) for size in (1e-6, 1e-3, 0.05)]
    return [made(f"constant {i}", loss) for i, loss in enumerate(flat + noisy)]


def other_grid():
    """Return a run logged every 7, 30, 64 and 500 steps, grids that the classifier has not seen."""
    loss = 3 * np.exp(-np.arange(40_000) / 400) + 0.1
    return [made(f"every {s}", loss[s - 1 :: s], stride=s) for s in (7, 30, 64, 500)]


def language_models(rates=(3e-3, 1e-3, 3e-4), width=48, length=48, batch=8):
    """Train character-level transformers on the sources of Python's standard library."""
    import argparse as source
    import inspect
    import typing

    import torch
    from torch import nn

    text = "".join(inspect.getsource(module) for module in (source, inspect, typing))
    known = {letter: i for i, letter in enumerate(sorted(set(text)))}
    data = torch.tensor([known[letter] for letter in text])
    runs = []
    for rate in rates:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        place = nn.Parameter(0.02 * torch.randn(length, width))
        embed, read = nn.Embedding(len(known), width), nn.Linear(width, len(known))
        body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        parameters = [place, *embed.parameters(), *read.parameters(), *body.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.1)
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        losses = []
        for _ in range(STEPS):
            start = torch.randint(len(data) - length - 1, (batch, 1))
            own = data[start + torch.arange(length + 1)]
            hidden = body(embed(own[:, :-1]) + place, mask=mask, is_causal=True)
            loss = nn.functional.cross_entropy(read(hidden).flatten(0, 1), own[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        configuration = Configuration(
            optimizer="adamw",
            learning_rate=rate,
            weight_decay=0.1,
            momentum=0.9,
            batch_size=batch,
            train_size=len(data) // length,
            n_parameters=sum(p.numel() for p in parameters),
        )
        runs.append(made(f"language model, rate {rate:g}", losses, configuration))
    return runs


CHEAP = {
    "regression that converges at once": at_once,
    "diverging": diverging,
    "constant loss": constant,
    "another step grid": other_grid,
}
KINDS = {**CHEAP, "language model": language_models}


def said(runs, classifier, *, with_context):
    """Return the verdicts, and one reason."""
    scores = [
        score(run if with_context else replace(run, configuration=Configuration()), classifier)
        for run in runs
    ]
    actions = Counter(own.verdict.action for own in scores)
    strange = [own.verdict.reason for own in scores if own.verdict.action != "continue"]
    return actions, (strange or [scores[0].verdict.reason])[0]


def made_table(which):
    """Print what is said of every kind of made run."""
    classifier = load_classifier(which)
    print("| runs | reads | abstain | continue | abort | for example |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for kind, make in KINDS.items():
        runs = make()
        told = any(run.configuration.known() for run in runs)
        for with_context in (False, True) if told else (False,):
            actions, reason = said(runs, classifier, with_context=with_context)
            print(
                f"| {kind} ({len(runs)}) | {'loss + configuration' if with_context else 'loss'} "
                f"| {actions['abstain']} | {actions['continue']} | {actions['abort']} | {reason} |",
                flush=True,
            )


def strange_looks(runs, grids, fit, held, out):
    """Return by model whether each look at the runs in ``out`` is turned away.

    What runs look like is learnt from ``fit``, and how far from that is strange from ``held``.
    """
    found = {name: np.zeros((len(grids), len(runs)), dtype=bool) for name in WINDOW_READS}
    known = fit | held
    rows = [
        columns(runs, grid, own, runs.budget[grid.run[own]])
        for grid in grids
        for own in [np.flatnonzero(known[grid.run])]
    ]
    familiar = fit_familiar(
        [grid.features[fit[grid.run]] for grid in grids],
        [grid.features[held[grid.run]] for grid in grids],
        np.concatenate(rows),
        read_metrics=True,
    )
    for row, grid in enumerate(grids):
        own = np.flatnonzero(out[grid.run])
        context = columns(runs, grid, own, runs.budget[grid.run[own]])[:, window.CONFIGURATION]
        loss = _any(familiar.reasons(grid.features[own], row, feature_names()))
        configuration = _any(familiar.context_reasons(context))
        validation = _any(familiar.metric_reasons(grid.metrics[own]))
        for reads in WINDOW_READS:
            strange = loss | (configuration & (CONFIGURATION in reads))
            strange |= validation & (VALIDATION[0] in reads)
            found[reads][row, grid.run[own]] = strange
    return found


def _any(reasons):
    return np.array([reason is not None for reason in reasons], dtype=bool)


def limit(runs, scores, among, bound):
    """Return the threshold that the scores of some runs set."""
    lowest = np.where(np.isfinite(scores), scores, np.inf).min(axis=0)
    known = among & runs.generalised & np.isfinite(lowest)
    own = independent_scores(lowest[known], runs.configuration[known], runs.network[known])
    return abort_threshold(own, bound) or 0.0


def family_table(bound, jobs):
    """Print what is lost of kinds of task that were not trained on."""
    done = finished(known_runs(read_sweep([SWEEPS]), None, None)[0], HORIZONS[0])
    runs = done.runs
    grids = extract_grids(runs, [(horizon, 1) for horizon in HORIZONS], SignalSettings(), jobs=jobs)
    family = np.array(runs.family)
    splits = list(folds(runs, FOLDS, 0))
    left_out = {name: family == name for name in sorted(set(family))}
    usual = held_out_scores(runs, grids, splits, seed=0, jobs=jobs)
    apart = [(~out, out) for out in left_out.values()]
    scores = held_out_scores(runs, grids, apart, seed=0, jobs=jobs)
    strange = {name: np.zeros((len(grids), len(runs)), dtype=bool) for name in WINDOW_READS}
    limits = {name: np.zeros(len(runs)) for name in WINDOW_READS}
    _, held = splits[0]
    for out in left_out.values():
        looks = strange_looks(runs, grids, ~held & ~out, held & ~out, out)
        for name in WINDOW_READS:
            strange[name] |= looks[name]
            limits[name][out] = limit(runs, usual[name], ~out, bound)
    print(
        f"| kind of task | good | doomed | {' | '.join(in_words(name) for name in WINDOW_READS)} |"
    )
    print("| --- | ---: | ---: |" + " --- |" * len(WINDOW_READS))
    stops = {
        name: Replay(name, HORIZONS, scores[name], strange[name], np.tile(limits[name], (5, 1)))
        for name in WINDOW_READS
    }
    measured = np.isfinite(scores[WINDOW_READS[2]]).any(axis=0)
    for title, out in [*left_out.items(), ("**all**", np.ones(len(runs), dtype=bool))]:
        cells = [
            _cell(done, stops[name], out & measured if VALIDATION[0] in name else out)
            for name in WINDOW_READS
        ]
        good = done.good[out]
        print(f"| {title} | {good.sum()} | {(~good).sum()} | {' | '.join(cells)} |", flush=True)
    print("\nThe same without leaving a kind out, thresholds from the other folds:")
    for name in WINDOW_READS:
        own = np.zeros(len(runs))
        for fit, out in splits:
            own[out] = limit(runs, usual[name], fit, bound)
        known = np.isfinite(usual[name]).any(axis=0)
        nothing = np.zeros_like(strange[name])
        replay = Replay(name, HORIZONS, usual[name], nothing, np.tile(own, (5, 1)))
        print(f"{in_words(name)}: {_cell(done, replay, known)}", flush=True)


def _cell(done, replay, out):
    """Return lost, saved and never judged of some runs."""
    if not out.any():
        return "-"
    own = Finished(done.runs.only(out), done.spent[out])
    found = ledger(own, replay.name, "", replay.as_is[out])
    share = found.lost
    lost = ""
    if share.value is not None:
        lost = f"{found.n_lost}: {share.value:.3f} [{share.low:.3f}, {share.high:.3f}]; "
    saved = found.saved.value or 0.0
    return f"{lost}{saved:.2f}; {replay.abstained[out].mean():.3f}"


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    if args.families:
        family_table(0.05, args.jobs)
    else:
        made_table(args.classifier)


if __name__ == "__main__":
    sys.exit(main())
