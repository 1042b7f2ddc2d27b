"""Update rules on a stack's flat parameters, each run with its own rate and decay.

PyTorch's optimisers hold one rate and decay for a whole tensor; these hold a column of them. The
tests compare each with its PyTorch original, Lion with its paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from grokpredict.sweeps.config import RunConfig

EPSILON = 1e-8


@dataclass
class Rows:
    """Consecutive runs of a stack that share an update rule, each value a column (n_runs, 1).

    Muon needs to know which of the flat parameters are matrices of hidden layers.
    """

    start: int
    stop: int
    rule: Callable[[Rows, Tensor, Tensor, Tensor, Tensor, Tensor, int], None]
    weight_decay: Tensor
    beta1: Tensor
    beta2: Tensor
    matrices: Sequence[tuple[slice, tuple[int, ...]]] = ()
    others: Sequence[slice] = ()


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


def rmsprop(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    """Gradients over their root mean square, momentum and an L2 penalty, as torch.optim.RMSprop."""
    g = g.addcmul_(p, rows.weight_decay)
    second.mul_(rows.beta2).add_((1 - rows.beta2) * g.square())
    first.mul_(rows.beta1).add_(g / second.sqrt().add_(EPSILON))
    p.sub_(first * lr)


def muon(
    rows: Rows, p: Tensor, g: Tensor, first: Tensor, second: Tensor, lr: Tensor, step: int
) -> None:
    """Orthogonalised Nesterov momentum for the matrices of hidden layers, as in torch.optim.Muon.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. All other parameters get AdamW
    with the same rate and decay, and the momentum as its first beta.
    """
    p.mul_(1 - lr * rows.weight_decay)
    for part in rows.others:
        _adam_update(rows, p[:, part], g[:, part], first[:, part], second[:, part], lr, step)
    for part, (fan_in, fan_out) in rows.matrices:
        gradient, buffer = g[:, part], first[:, part]
        buffer.mul_(rows.beta1).add_(gradient)
        along = torch.addcmul(gradient, buffer, rows.beta1).view(-1, fan_in, fan_out)
        ratio = math.sqrt(max(1.0, fan_out / fan_in))
        p[:, part].sub_(orthogonalised(along).flatten(1) * (lr * ratio))


def orthogonalised(matrices: Tensor) -> Tensor:
    """Five steps of Muon's Newton-Schulz iteration on each of (n, rows, columns)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7).view(-1, 1, 1)
    for _ in range(5):
        gram = torch.bmm(x, x.transpose(1, 2))
        update = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, update, x, beta=a)
    return x.transpose(1, 2) if tall else x


RULES = {
    "adamw": adamw, "adam": adam, "sgd": sgd, "lion": lion, "rmsprop": rmsprop, "muon": muon,
}  # fmt: skip


class StackedOptimiser:
    """Optimiser state and step for a stack.

    Parameters
    ----------
    configs : sequence of RunConfig
        Runs of one optimiser must be neighbours.
    like : Tensor, shape (n_runs, n_parameters)
        The flat parameters.
    shapes : mapping of str to shape, optional
        Of the parameters in their order, which only Muon asks for.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        like: Tensor,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.matrices, self.others = _hidden_matrices(shapes or {})
        self.first = torch.zeros_like(like)
        self.second = torch.zeros_like(like)
        self._arrange(configs, like.device)

    def _arrange(self, configs: Sequence[RunConfig], device: torch.device) -> None:
        def column(name: str, members: Sequence[RunConfig]) -> Tensor:
            values = [getattr(c, name) for c in members]
            return torch.tensor(values, dtype=self.first.dtype, device=device).unsqueeze(1)

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
                    self.matrices,
                    self.others,
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


def _hidden_matrices(
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[list[tuple[slice, tuple[int, ...]]], list[slice]]:
    """Return what Muon is meant for, matrices but for embeddings and the output, and the rest."""
    matrices, others = [], []
    offset = 0
    for name, shape in shapes.items():
        part = slice(offset, offset + math.prod(shape))
        if name.endswith(".weight") and name != "output.weight":
            matrices.append((part, shape))
        else:
            others.append(part)
        offset = part.stop
    return matrices, others


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
