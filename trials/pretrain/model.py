"""A GPT-2 with some of its embeddings frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from trials.pretrain.config import PretrainConfig


def build_model(
    config: PretrainConfig, n_vocab: int, frozen: Mapping[str, np.ndarray]
) -> GPT2LMHeadModel:
    """A model with initial weights, on the CPU; the same body for every arm of a seed.

    `frozen` has the rows of each side ("input", "output") that is not learned.
    """
    settings = GPT2Config(
        vocab_size=n_vocab,
        n_positions=config.context,
        n_embd=config.d_model,
        n_layer=config.n_layers,
        n_head=config.n_heads,
        initializer_range=config.initial_std,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=config.tying == "tied",
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = GPT2LMHeadModel(settings)
    if config.output_bias:
        model.lm_head.bias = nn.Parameter(torch.zeros(n_vocab))
    for side, rows in frozen.items():
        weight = embedding(model, side)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(rows))
        weight.requires_grad_(False)
    return model


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
