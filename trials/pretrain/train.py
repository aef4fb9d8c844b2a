"""Training by AdamW: the same losses for the same config, interrupted or not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel

from trials.inputs.corpora.windows import ShuffledBatches, Windows
from trials.pretrain.config import PretrainConfig
from trials.pretrain.model import parameter_groups, token_losses

_BETAS = (0.9, 0.95)
_LARGEST_GRADIENT = 1.0
_LAST_RATE = 0.1


def learning_rate_at(config: PretrainConfig, step: int) -> float:
    """Learning rate of step 0 <= `step` < n_steps: a linear rise, then a cosine to a tenth."""
    if step < config.warm_up_steps:
        return config.learning_rate * (step + 1) / config.warm_up_steps
    done = (step - config.warm_up_steps) / max(1, config.n_steps - config.warm_up_steps)
    cosine = (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


class Trainer:
    """A model in the making.

    Attributes:
        step: steps taken.
        losses: float32, (n_steps,); mean loss of each batch before its step.
        gradient_norms: float32, (n_steps,); of each gradient before it was clipped.
        training_s: wall time of the steps.
    """

    def __init__(
        self, model: GPT2LMHeadModel, tokens: np.ndarray, config: PretrainConfig, device: str
    ) -> None:
        """Prepare to train `model`, which moves to `device`, on a stream of token ids."""
        self.config, self.device = config, torch.device(device)
        self.model = model.to(self.device)
        self.step, self.training_s = 0, 0.0
        seed = config.seed if config.data_seed is None else config.data_seed
        self._batches = ShuffledBatches(Windows(tokens, config.context), config.batch_size, seed)
        decays, others = parameter_groups(model)
        self._trained: list[nn.Parameter] = [*decays, *others]
        groups: list[dict[str, Any]] = [{"params": decays}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=_BETAS,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.losses = torch.zeros(config.n_steps, device=self.device)
        self.gradient_norms = torch.zeros(config.n_steps, device=self.device)
        compiled = config.compile and self.device.type == "cuda"
        self._losses_of = torch.compile(token_losses) if compiled else token_losses

    def advance(self, stop: int, interrupted: Callable[[], bool] = bool) -> None:
        """Take the steps up to step `stop`, or until `interrupted`."""
        started = time.perf_counter()
        while self.step < stop and not interrupted():
            self._take(self.step)
            self.step += 1
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.training_s += time.perf_counter() - started

    def token_losses(self, sequences: np.ndarray) -> np.ndarray:
        """-ln p of every token but the first of each sequence, float32, without training."""
        with torch.no_grad():
            parts = self._on_device(sequences).split(self.config.micro_batch_size)
            return torch.cat([self._forward(part) for part in parts]).cpu().numpy()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs; for `torch.save`.

        No state of a random generator: batches depend on seed and step, and nothing else is drawn.
        """
        return {
            "step": self.step,
            "training_s": self.training_s,
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "losses": self.losses,
            "gradient_norms": self.gradient_norms,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a trainer that was made with the same arguments."""
        self.step, self.training_s = state["step"], state["training_s"]
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.losses.copy_(state["losses"])
        self.gradient_norms.copy_(state["gradient_norms"])

    def _take(self, step: int) -> None:
        micro_batches = self._on_device(self._batches[step]).split(self.config.micro_batch_size)
        for micro_batch in micro_batches:
            loss = self._forward(micro_batch).mean() / len(micro_batches)
            loss.backward()
            self.losses[step] += loss.detach()
        norm = nn.utils.clip_grad_norm_(self._trained, _LARGEST_GRADIENT)
        self.gradient_norms[step] = norm
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate_at(self.config, step)
        self._optimiser.step()
        self._optimiser.zero_grad()

    def _forward(self, sequences: Tensor) -> Tensor:
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        ):
            losses: Tensor = self._losses_of(self.model, sequences)
        return losses

    def _on_device(self, sequences: np.ndarray) -> Tensor:
        return torch.from_numpy(sequences).to(self.device)
