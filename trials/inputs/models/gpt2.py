"""GPT-2 as transformers builds it, from the few numbers that our trials store about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel


class Architecture(NamedTuple):
    """The shape of a GPT-2; `tied` and `output_bias` are 0 or 1, so that all are whole numbers."""

    n_vocab: int
    n_layers: int
    n_heads: int
    d_model: int
    context: int
    tied: int
    output_bias: int

    def table(self) -> dict[str, list[Any]]:
        """As a table of fields and values; `from_table` reads it."""
        return {"field": list(self._fields), "value": list(self)}

    @classmethod
    def from_table(cls, rows: Sequence[Mapping[str, str]]) -> Architecture:
        """The inverse of `table`. Raises KeyError or ValueError where it is none."""
        value = {row["field"]: int(row["value"]) for row in rows}
        return cls(**{field: value[field] for field in cls._fields})


def new_gpt2(shape: Architecture, *, initial_std: float, seed: int) -> GPT2LMHeadModel:
    """A model with initial weights, on the CPU, without dropout."""
    settings = GPT2Config(
        vocab_size=shape.n_vocab,
        n_positions=shape.context,
        n_embd=shape.d_model,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        initializer_range=initial_std,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=bool(shape.tied),
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = GPT2LMHeadModel(settings)
    if shape.output_bias:
        model.lm_head.bias = nn.Parameter(torch.zeros(shape.n_vocab))
    return model


def restored_gpt2(shape: Architecture, weights: Mapping[str, np.ndarray]) -> GPT2LMHeadModel:
    """The model with all its weights, by their names in transformers, a tied matrix once.

    Raises ValueError where a weight is missing, is not the model's, or has another shape.
    """
    model = new_gpt2(shape, initial_std=0.02, seed=0)
    own = dict(model.named_parameters())
    if (wrong := own.keys() ^ weights.keys()) or any(
        own[name].shape != weights[name].shape for name in own
    ):
        raise ValueError(f"the weights are not those of {shape}: {', '.join(sorted(wrong)[:3])}")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(torch.from_numpy(np.asarray(weight)))
    return model
