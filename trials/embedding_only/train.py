"""Training of what is to be trained, and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPT2LMHeadModel

from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import Batches
from trials.embedding_only.model import logits_of
from trials.inputs.algorithmic_tasks import Sequences
from trials.training import trainer

_BETAS = (0.9, 0.999)
_CHUNK_TOKENS = 1 << 15


class Trainer(trainer.Trainer):
    """A model whose trained part is in the making."""

    last_rate = 0.0

    def __init__(
        self, model: GPT2LMHeadModel, batches: Batches, config: EmbeddingOnlyConfig, device: str
    ) -> None:
        """Prepare to train what has gradients in `model`, which moves to `device`."""
        super().__init__(
            model,
            config,
            device,
            decays=[p for p in model.parameters() if p.requires_grad],
            others=[],
            weight_decay=config.weight_decay,
            betas=_BETAS,
        )
        self.model, self.config, self._batches = model, config, batches

    def loss_parts(self, step: int) -> Iterator[Tensor]:
        """The mean loss of the batch."""
        batch = self._batches[step]
        logits = logits_of(self.model, self._there(batch.tokens), self._there(batch.scored))
        yield functional.cross_entropy(logits, self._there(batch.answers))

    def chunks(self, sequences: Sequences) -> Iterator[tuple[Tensor, Tensor]]:
        """Tokens and what counts of them, on the device, so many as fit at once."""
        n_chunks = -(-sequences.tokens.size // _CHUNK_TOKENS)
        for rows in np.array_split(np.arange(len(sequences.tokens)), n_chunks):
            yield self._there(sequences.tokens[rows]), self._there(sequences.scored[rows])

    def _there(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class Evaluated(NamedTuple):
    """Means over the tokens of a set that count.

    Attributes:
        accuracy: share whose most likely token is right.
        loss: mean of -ln p, in nats.
        exact_match: share of the sequences all of whose tokens that count are right.
    """

    accuracy: float
    loss: float
    exact_match: float


@torch.no_grad()
def evaluate(trainer: Trainer, sequences: Sequences) -> Evaluated:
    """How well a set is answered."""
    right, losses = [], []
    for tokens, scored in trainer.chunks(sequences):
        logits = logits_of(trainer.model, tokens, scored)
        answers = tokens[:, 1:][scored]
        right.append((logits.argmax(dim=1) == answers).cpu().numpy())
        losses.append(functional.cross_entropy(logits, answers, reduction="none").cpu().numpy())
    is_right = np.concatenate(right)
    rows = np.nonzero(sequences.scored)[0]
    n_wrong = np.bincount(rows, ~is_right, minlength=len(sequences.tokens))
    return Evaluated(
        accuracy=float(is_right.mean()),
        loss=float(np.concatenate(losses).mean(dtype=np.float64)),
        exact_match=float((n_wrong == 0).mean()),
    )
