"""
A Slurm array with a ledger
===========================

One task of a Slurm array. All tasks share one ledger, so later ones learn from earlier ones.

::

    sbatch --array=0-199 --wrap "python examples/slurm_array.py --ledger sweep/"
    grokpredict audit sweep/

Until 19 good runs have finished, doomed ones are only warned of; then they are stopped. The number
of a task draws its configuration, so that the tasks are in random order, and is its name in the
ledger: a task that is started again takes its own place.
"""

import argparse
import os
import random

import torch
from torch import nn

from grokpredict import GrokMonitor

P = 31
EVALUATE_EVERY = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--ledger", default="sweep")
    parser.add_argument("--task", default=os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    parser.add_argument("--max-steps", type=int, default=10_000)
    arguments = parser.parse_args()
    draw = random.Random(f"task {arguments.task}")
    hparams = {
        "lr": 10 ** draw.uniform(-3, -2),
        "weight_decay": 10 ** draw.uniform(-3, 0.5),
        "train_fraction": draw.uniform(0.3, 0.8),
    }
    torch.manual_seed(int(arguments.task))
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    pairs = pairs[torch.randperm(len(pairs))]
    inputs = nn.functional.one_hot(pairs, P).flatten(1).float()
    targets = pairs.sum(dim=1) % P
    cut = int(hparams["train_fraction"] * len(pairs))
    net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=hparams["lr"], weight_decay=hparams["weight_decay"]
    )

    monitor = GrokMonitor(
        arguments.classifier,
        budget=arguments.max_steps,
        ledger=arguments.ledger,
        name=f"task {arguments.task}",
        hparams=hparams,
    )
    losses: list[torch.Tensor] = []
    for step in range(1, arguments.max_steps + 1):
        loss = nn.functional.cross_entropy(net(inputs[:cut]), targets[:cut])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if step % EVALUATE_EVERY:
            continue
        verdicts = monitor.extend(torch.stack(losses).tolist())
        losses.clear()
        if verdicts:
            print(f"step {step}: {verdicts[-1].action}: {verdicts[-1].reason}", flush=True)
        if verdicts and verdicts[-1].action == "abort":
            break
        with torch.no_grad():
            outputs = net(inputs[cut:])
            val_loss = nn.functional.cross_entropy(outputs, targets[cut:]).item()
            val_acc = (outputs.argmax(dim=1) == targets[cut:]).float().mean().item()
        monitor.saw_evaluation(val_loss, val_acc)
        monitor.saw_validation(val_acc)
    monitor.finish()


if __name__ == "__main__":
    main()
