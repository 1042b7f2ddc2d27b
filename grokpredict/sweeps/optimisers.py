"""Update rules on a stack's flat parameters, each run with its own rate and decay.

PyTorch's optimisers hold one rate and decay for a whole tensor; these hold a column of them. The
tests compare each with its PyTorch original, Lion with its paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from grokpredict.sweeps.config import RunConfig

EPSILON = 1e-8


@dataclass
class Rows:
    """Consecutive runs of a stack that share an update rule, each value a column (n_runs, 1)."""

    start: int
    stop: int
    rule: Callable[[Rows, Tensor, Tensor, Tensor, Tensor, Tensor, int], None]
    weight_decay: Tensor
    beta1: Tensor
    beta2: Tensor


def adamw(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    """Adam with decoupled decay; Loshchilov & Hutter 2019, arXiv 1711.05101."""
    p.mul_(1 - lr * rows.weight_decay)
    _adam_update(rows, p, g, first, second, lr, step)


def adam(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    """Adam with an L2 penalty in the gradient; Kingma & Ba 2015, arXiv 1412.6980."""
    _adam_update(rows, p, g.addcmul_(p, rows.weight_decay), first, second, lr, step)


def _adam_update(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    first.lerp_(g, 1 - rows.beta1)
    second.mul_(rows.beta2).add_((1 - rows.beta2) * g.square_())
    rate = lr / (1 - rows.beta1 ** (step + 1))
    root = second.sqrt().div_((1 - rows.beta2 ** (step + 1)).sqrt()).add_(EPSILON)
    p.sub_((first / root).mul_(rate))


def sgd(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    """Gradient descent with momentum and an L2 penalty, as in torch.optim.SGD."""
    first.mul_(rows.beta1).add_(g.addcmul_(p, rows.weight_decay))
    p.sub_(first * lr)


def lion(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    """Sign of an interpolated momentum, decoupled decay; Chen et al. 2023, arXiv 2302.06675."""
    p.mul_(1 - lr * rows.weight_decay)
    p.sub_(torch.lerp(first, g, 1 - rows.beta1).sign_().mul_(lr))
    first.lerp_(g, 1 - rows.beta2)


RULES = {"adamw": adamw, "adam": adam, "sgd": sgd, "lion": lion}


class StackedOptimiser:
    """Optimiser state and step for a stack.

    Parameters
    ----------
    configs : sequence of RunConfig
        Runs of one optimiser must be neighbours.
    like : Tensor, shape (n_runs, n_parameters)
        The flat parameters.
    """

    def __init__(self, configs: Sequence[RunConfig], like: Tensor) -> None:
        self.first = torch.zeros_like(like)
        self.second = torch.zeros_like(like)
        self._arrange(configs, like.device)

    def _arrange(self, configs: Sequence[RunConfig], device: torch.device) -> None:
        def column(name: str, members: Sequence[RunConfig]) -> Tensor:
            values = [getattr(c, name) for c in members]
            return torch.tensor(values, dtype=torch.float32, device=device).unsqueeze(1)

        self.rows: list[Rows] = []
        start = 0
        while start < len(configs):
            name = configs[start].optimizer
            stop = start
            while stop < len(configs) and configs[stop].optimizer == name:
                stop += 1
            members = configs[start:stop]
            self.rows.append(
                Rows(
                    start,
                    stop,
                    RULES[name],
                    column("weight_decay", members),
                    column("momentum", members),
                    column("beta2", members),
                )
            )
            start = stop

    def keep(self, kept: Tensor, configs: Sequence[RunConfig]) -> None:
        """Go on with the runs ``kept`` (indices), whose configurations are ``configs``."""
        self.first, self.second = self.first[kept], self.second[kept]
        self._arrange(configs, self.first.device)

    def step(self, params: Tensor, grads: Tensor, rates: Tensor, step: int) -> None:
        """Update ``params`` in place; ``grads`` is used as scratch space.

        Parameters
        ----------
        params, grads : Tensor, shape (n_runs, n_parameters)
            Flat parameters and their gradients.
        rates : Tensor, shape (n_runs, 1)
            Learning rates of this step.
        step : int
            Updates made before this one.
        """
        for r in self.rows:
            block = slice(r.start, r.stop)
            r.rule(
                r, params[block], grads[block], self.first[block], self.second[block],
                rates[block], step,
            )  # fmt: skip


def schedule(configs: Sequence[RunConfig], steps: Tensor) -> Tensor:
    """Learning rates (n_steps, n_runs, 1) at ``steps`` (n_steps,): warm-up, then flat or cosine."""
    device = steps.device
    lr = torch.tensor([c.learning_rate for c in configs], device=device)
    warm = torch.tensor([max(c.warmup_steps, 1) for c in configs], device=device)
    end = torch.tensor([c.max_steps for c in configs], device=device)
    cosine = torch.tensor([c.schedule == "cosine" for c in configs], device=device)
    t = steps.unsqueeze(1)
    ramp = ((t + 1) / warm).clamp(max=1.0)
    progress = ((t - warm) / (end - warm).clamp(min=1)).clamp(0.0, 1.0)
    decay = torch.where(cosine, 0.5 * (1 + torch.cos(torch.pi * progress)), 1.0)
    return (lr * ramp * decay).float().unsqueeze(2)
