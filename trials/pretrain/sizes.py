"""Sizes of a training: one word for model, budget, corpus and tokenizer."""

from __future__ import annotations

from typing import Any, Literal

Size = Literal["tiny", "small", "124m"]

SIZES: dict[Size, dict[str, Any]] = {
    "tiny": {
        "corpus": "stdlib:",
        "tokenizer": "bpe",
        "n_vocab": 2000,
        "n_layers": 2,
        "n_heads": 4,
        "d_model": 64,
        "context": 64,
        "n_tokens": 1_228_800,
        "batch_size": 32,
        "micro_batch_size": 32,
        "learning_rate": 8e-3,
        "warm_up_steps": 100,
        "evaluation_tokens": 32_768,
        "n_evaluations": 12,
        "precision": "float32",
    },
    "small": {
        "corpus": "hub:Salesforce/wikitext/wikitext-103-raw-v1",
        "tokenizer": "bpe",
        "n_vocab": 8192,
        "n_layers": 4,
        "n_heads": 4,
        "d_model": 256,
        "context": 256,
        "n_tokens": 104_857_600,
        "batch_size": 64,
        "micro_batch_size": 64,
        "learning_rate": 1e-3,
        "warm_up_steps": 300,
        "evaluation_tokens": 262_144,
        "precision": "bfloat16",
    },
    "124m": {
        "corpus": "hub:HuggingFaceFW/fineweb-edu/sample-10BT",
        "corpus_bytes": 14_000_000_000,
        "tokenizer": "hub:gpt2",
        "n_vocab": None,
        "n_layers": 12,
        "n_heads": 12,
        "d_model": 768,
        "context": 1024,
        "n_tokens": 2_516_582_400,
        "batch_size": 480,
        "micro_batch_size": 16,
        "learning_rate": 6e-4,
        "warm_up_steps": 500,
        "evaluation_tokens": 2_097_152,
        "precision": "bfloat16",
        "validation_frac": 0.002,
        "held_out_frac": 0.002,
    },
}
"""What a size stands for; any of it can be given instead. `tiny` takes a minute on one core."""
