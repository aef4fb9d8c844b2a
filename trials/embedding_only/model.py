"""A random GPT-2 and the part of it that is trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel

from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.inputs.models.gpt2 import Architecture, new_gpt2

_LONGEST_WAVE = 10_000.0


def build_model(config: EmbeddingOnlyConfig, n_vocab: int, context: int) -> GPT2LMHeadModel:
    """A model on the CPU, with gradients where it is trained.

    The seed gives all initial weights, the same ones for every choice of what is trained.
    """
    model = new_gpt2(
        architecture(config, n_vocab, context), initial_std=config.resolved_std, seed=config.seed
    )
    if config.positions == "frozen_sinusoidal":
        positions = model.transformer.wpe.weight
        with torch.no_grad():
            positions.copy_(config.resolved_std * sinusoidal(context, config.d_model))
    trained = {id(p) for p in _trained(config, model)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    return model


def architecture(config: EmbeddingOnlyConfig, n_vocab: int, context: int) -> Architecture:
    """The shape of the model."""
    return Architecture(
        n_vocab=n_vocab,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        context=context,
        tied=0,
        output_bias=0,
    )


def sinusoidal(n_positions: int, d_model: int) -> Tensor:
    """sqrt 2 sin and cos of position / 10000^(j / d_model), of mean square 1; (Vaswani, 2017)."""
    places = np.arange(n_positions)[:, None]
    waves = np.arange(d_model)
    angles = places / _LONGEST_WAVE ** (waves // 2 * 2 / d_model)
    table = np.sqrt(2) * np.where(waves % 2 == 0, np.sin(angles), np.cos(angles))
    return torch.from_numpy(table.astype(np.float32))


def logits_of(model: GPT2LMHeadModel, tokens: Tensor, scored: Tensor) -> Tensor:
    """Logits of the tokens that count, (n_scored, n_vocab).

    Of sequences (n, context + 1) and `scored` (n, context), which tells for every token but the
    first whether it counts.
    """
    hidden = model.transformer(tokens[:, :-1]).last_hidden_state
    logits: Tensor = model.lm_head(hidden[scored])
    return logits


def _trained(config: EmbeddingOnlyConfig, model: GPT2LMHeadModel) -> list[nn.Parameter]:
    body = model.transformer
    parts: dict[str, list[nn.Module]] = {
        "embedding": [body.wte, body.wpe],
        "unembedding": [model.lm_head],
        "body": [body.h, body.ln_f],
    }
    names = {"both": ("embedding", "unembedding"), "everything": tuple(parts)}
    chosen = [part for name in names.get(config.trained, (config.trained,)) for part in parts[name]]
    if config.positions != "with_embedding":
        chosen = [part for part in chosen if part is not body.wpe]
    return [p for part in chosen for p in part.parameters()]
