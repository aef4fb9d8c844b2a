"""Training of a GPT-2 on a stream of tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from trials.inputs.corpora.windows import ShuffledBatches, Windows
from trials.pretrain.config import PretrainConfig
from trials.pretrain.model import parameter_groups, token_losses
from trials.training import trainer

_BETAS = (0.9, 0.95)


class Trainer(trainer.Trainer):
    """A GPT-2 in the making."""

    def __init__(
        self, model: GPT2LMHeadModel, tokens: np.ndarray, config: PretrainConfig, device: str
    ) -> None:
        """Prepare to train `model`, which moves to `device`, on a stream of token ids."""
        decays, others = parameter_groups(model)
        super().__init__(
            model,
            config,
            device,
            decays=decays,
            others=others,
            weight_decay=config.weight_decay,
            betas=_BETAS,
        )
        self.model, self.config = model, config
        seed = config.seed if config.data_seed is None else config.data_seed
        self._batches = ShuffledBatches(Windows(tokens, config.context), config.batch_size, seed)
        compiled = config.compile and self.device.type == "cuda"
        self._losses_of = torch.compile(token_losses) if compiled else token_losses

    def loss_parts(self, step: int) -> Iterator[Tensor]:
        """The mean loss of a batch, a micro-batch at a time."""
        micro_batches = self._on_device(self._batches[step]).split(self.config.micro_batch_size)
        for micro_batch in micro_batches:
            yield self._forward(micro_batch).mean() / len(micro_batches)

    def token_losses(self, sequences: np.ndarray) -> np.ndarray:
        """-ln p of every token but the first of each sequence, float32, without training."""
        with torch.no_grad():
            parts = self._on_device(sequences).split(self.config.micro_batch_size)
            return torch.cat([self._forward(part) for part in parts]).cpu().numpy()

    def _forward(self, sequences: Tensor) -> Tensor:
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        ):
            losses: Tensor = self._losses_of(self.model, sequences)
        return losses

    def _on_device(self, sequences: np.ndarray) -> Tensor:
        return torch.from_numpy(sequences).to(self.device)
