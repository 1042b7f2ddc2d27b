"""
A plain PyTorch loop
====================

``GrokMonitor`` in a plain PyTorch loop, without any framework.

::

    python examples/plain_loop.py [--classifier FILE] [--max-steps 10000]

The losses stay on their device until the next evaluation, then they are copied all at once.
"""

import argparse

import torch
from torch import nn

from grokpredict import GrokMonitor

P = 31
EVALUATE_EVERY = 25


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--max-steps", type=int, default=10_000)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    pairs = pairs[torch.randperm(len(pairs))]
    inputs = nn.functional.one_hot(pairs, P).flatten(1).float()
    targets = pairs.sum(dim=1) % P
    train, val = slice(len(pairs) * 2 // 5), slice(len(pairs) * 2 // 5, None)
    net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.0)

    monitor = GrokMonitor(arguments.classifier, budget=arguments.max_steps)
    buffer: list[torch.Tensor] = []
    for step in range(1, arguments.max_steps + 1):
        loss = nn.functional.cross_entropy(net(inputs[train]), targets[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        buffer.append(loss.detach())
        if step % EVALUATE_EVERY:
            continue
        for verdict in monitor.extend(torch.stack(buffer).tolist()):
            print(f"step {verdict.horizon}: {verdict.action}: {verdict.reason}")
        buffer.clear()
        if monitor.verdicts and monitor.verdicts[-1].action == "abort":
            break
        with torch.no_grad():
            outputs = net(inputs[val])
            val_loss = nn.functional.cross_entropy(outputs, targets[val]).item()
            val_acc = (outputs.argmax(dim=1) == targets[val]).float().mean().item()
        monitor.saw_evaluation(val_loss, val_acc)
        monitor.saw_validation(val_acc)
    print(f"trained {step} of {arguments.max_steps} steps")


if __name__ == "__main__":
    main()
