"""Training by AdamW: the same losses for the same config, interrupted or not."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

_LARGEST_GRADIENT = 1.0


@runtime_checkable
class Schedule(Protocol):
    """The fields of a config that set the learning rate of each step."""

    @property
    def n_steps(self) -> int: ...  # noqa: D102

    @property
    def learning_rate(self) -> float: ...  # noqa: D102

    @property
    def warm_up_steps(self) -> int: ...  # noqa: D102


def learning_rate_at(schedule: Schedule, step: int, last: float = 0.1) -> float:
    """Learning rate of step 0 <= `step` < n_steps.

    Linear warm-up to the peak, then a cosine down to `last` times the peak.
    """
    if step < schedule.warm_up_steps:
        return schedule.learning_rate * (step + 1) / schedule.warm_up_steps
    done = (step - schedule.warm_up_steps) / max(1, schedule.n_steps - schedule.warm_up_steps)
    cosine = (1 + math.cos(math.pi * done)) / 2
    return schedule.learning_rate * (last + (1 - last) * cosine)


class Trainer(ABC):
    """A model in training. A kind adds what a batch is and how its loss is computed.

    Attributes:
        device: where the model is.
        schedule: number of steps and learning rates.
        step: steps taken.
        losses: float32, (n_steps,); mean loss of each batch before its step.
        gradient_norms: float32, (n_steps,); norm of each gradient before clipping.
        training_s: wall time of the steps.
    """

    last_rate = 0.1
    """Final learning rate as a fraction of the peak."""

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        device: str,
        *,
        decays: Sequence[nn.Parameter],
        others: Sequence[nn.Parameter],
        weight_decay: float,
        betas: tuple[float, float],
    ) -> None:
        """Prepare to train parameters of `model`, which moves to `device`.

        `decays` have `weight_decay`, `others` have none; the rest of the model is not trained.
        """
        self.device, self.schedule = torch.device(device), schedule
        model.to(self.device)
        self._module = model
        self.step, self.training_s = 0, 0.0
        self._trained: list[nn.Parameter] = [*decays, *others]
        groups: list[dict[str, Any]] = [
            {"params": list(decays)},
            {"params": list(others), "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            groups, lr=schedule.learning_rate, betas=betas, weight_decay=weight_decay, fused=True
        )
        self.losses = torch.zeros(schedule.n_steps, device=self.device)
        self.gradient_norms = torch.zeros(schedule.n_steps, device=self.device)

    @abstractmethod
    def loss_parts(self, step: int) -> Iterator[Tensor]:
        """Scalars that add up to the mean loss of the batch of `step`.

        The loop calls `backward` on each before it takes the next, so one micro-batch is in memory.
        """

    def advance(self, stop: int, interrupted: Callable[[], bool] = bool) -> None:
        """Take the steps up to step `stop`, or until `interrupted`."""
        started = time.perf_counter()
        while self.step < stop and not interrupted():
            self._take(self.step)
            self.step += 1
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.training_s += time.perf_counter() - started

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, for `torch.save`.

        There is no random state: batches depend on seed and step only, and nothing else is drawn.
        """
        return {
            "step": self.step,
            "training_s": self.training_s,
            "model": self._module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "losses": self.losses,
            "gradient_norms": self.gradient_norms,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state` of a trainer with the same arguments."""
        self.step, self.training_s = state["step"], state["training_s"]
        self._module.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.losses.copy_(state["losses"])
        self.gradient_norms.copy_(state["gradient_norms"])

    def _take(self, step: int) -> None:
        for loss in self.loss_parts(step):
            loss.backward()
            self.losses[step] += loss.detach()
        norm = nn.utils.clip_grad_norm_(self._trained, _LARGEST_GRADIENT)
        self.gradient_norms[step] = norm
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate_at(self.schedule, step, self.last_rate)
        self._optimiser.step()
        self._optimiser.zero_grad()
