"""
A plain PyTorch loop
====================

``GrokMonitor`` in a plain PyTorch loop, without any framework.

::

    python examples/plain_loop.py [--classifier FILE] [--max-steps 10000]

The losses stay on their device until a look is due, then they are copied all at once.
"""

import argparse

import torch
from torch import nn

from grokpredict import Configuration, GrokMonitor

P = 31


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--max-steps", type=int, default=10_000)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    pairs = pairs[torch.randperm(len(pairs))][: len(pairs) * 2 // 5]
    inputs = nn.functional.one_hot(pairs, P).flatten(1).float()
    targets = pairs.sum(dim=1) % P
    net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.0)

    monitor = GrokMonitor(
        arguments.classifier,
        budget=arguments.max_steps,
        configuration=Configuration(
            optimizer="adamw",
            learning_rate=3e-3,
            weight_decay=0.0,
            momentum=0.9,
            batch_size=len(pairs),
            train_size=len(pairs),
            n_parameters=sum(p.numel() for p in net.parameters()),
        ),
    )
    buffer: list[torch.Tensor] = []
    for step in range(1, arguments.max_steps + 1):
        loss = nn.functional.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if monitor.next_horizon is None:
            continue
        buffer.append(loss.detach())
        if step == monitor.next_horizon:
            (verdict,) = monitor.extend(torch.stack(buffer).tolist())
            buffer.clear()
            print(f"step {step}: {verdict.action}: {verdict.reason}")
            if verdict.action == "abort":
                break
    print(f"trained {step} of {arguments.max_steps} steps")


if __name__ == "__main__":
    main()
