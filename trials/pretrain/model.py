"""A GPT-2 with some of its embeddings frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2LMHeadModel

from trials.inputs.models.gpt2 import Architecture, new_gpt2
from trials.pretrain.config import PretrainConfig


def build_model(
    config: PretrainConfig, n_vocab: int, frozen: Mapping[str, np.ndarray]
) -> GPT2LMHeadModel:
    """A model with initial weights, on the CPU; the same body for every arm of a seed.

    `frozen` has the rows of each side ("input", "output") that is not learned.
    """
    model = new_gpt2(
        architecture(config, n_vocab), initial_std=config.initial_std, seed=config.seed
    )
    for side, rows in frozen.items():
        weight = embedding(model, side)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(rows))
        weight.requires_grad_(False)
    return model


def architecture(config: PretrainConfig, n_vocab: int) -> Architecture:
    """The shape of the model."""
    return Architecture(
        n_vocab=n_vocab,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        context=config.context,
        tied=int(config.tying == "tied"),
        output_bias=int(config.output_bias),
    )


def embedding(model: GPT2LMHeadModel, side: str) -> nn.Parameter:
    """The matrix of a side, (n_vocab, d_model)."""
    layer = model.transformer.wte if side == "input" else model.lm_head
    weight: nn.Parameter = layer.weight
    return weight


def token_losses(model: GPT2LMHeadModel, sequences: Tensor) -> Tensor:
    """-ln p of every token but the first of each sequence, float32.

    Of sequences (n, context + 1) of ids, (n, context).
    """
    logits = model(sequences[:, :-1]).logits
    targets = sequences[:, 1:]
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none"
    )
    return losses.view_as(targets)


def parameter_groups(model: GPT2LMHeadModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What is trained: first what decays, then what does not (embeddings, biases, gains)."""
    embeddings = {id(weight) for weight in _embeddings(model)}
    trained = [p for p in model.parameters() if p.requires_grad]
    decays = [p for p in trained if p.ndim > 1 and id(p) not in embeddings]
    kept = {id(p) for p in decays}
    return decays, [p for p in trained if id(p) not in kept]


def flop_per_token(model: GPT2LMHeadModel) -> float:
    """Of a forward and a backward pass: 6 a weight, and 12 n_layers d_model context."""
    settings = model.config
    body = sum(p.numel() for p in model.transformer.h.parameters() if p.ndim > 1)
    attention = 12 * settings.n_layer * settings.n_embd * settings.n_positions
    return 6.0 * (body + model.lm_head.weight.numel()) + attention


def _embeddings(model: GPT2LMHeadModel) -> Iterator[nn.Parameter]:
    yield model.transformer.wte.weight
    yield model.transformer.wpe.weight
    yield model.lm_head.weight
