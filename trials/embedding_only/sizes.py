"""Sizes of a trial: one word for task, model and training; any of it can be given instead."""

from __future__ import annotations

from typing import Any, Literal

Size = Literal["tiny", "paper"]
TaskName = Literal[
    "modular_addition",
    "needle",
    "decimal_addition",
    "brackets",
    "memorisation",
    "language_modelling",
]
Width = Literal["narrow", "wide"]
Trained = Literal["embedding", "unembedding", "both", "everything", "body"]

_EVERY_TASK: dict[Size, dict[str, Any]] = {
    "tiny": {
        "d_model": 128,
        "initial_std": "by_width",
        "batch_size": 64,
        "n_steps": 1000,
        "warm_up_steps": 200,
        "n_test": 500,
    },
    # Zhong and Andreas (2024) train the streams for 250 epochs of 40,000 sequences.
    "paper": {
        "d_model": 1024,
        "initial_std": 0.02,
        "batch_size": 1000,
        "n_steps": 10_000,
        "learning_rate": 1e-3,
        "warm_up_steps": 500,
        "n_test": 4000,
    },
}

_ONE_TASK: dict[Size, dict[TaskName, dict[str, Any]]] = {
    "tiny": {
        # So few pairs are learnt by heart unless weights decay fast.
        "modular_addition": {
            "modulus": 59,
            "batch_size": 256,
            "n_steps": 2500,
            "weight_decay": 0.3,
            "n_test": 170,
        },
        "needle": {"n_pairs": 4, "n_values": 8},
        "decimal_addition": {"n_digits": 3, "n_steps": 2000},
        "brackets": {"n_brackets": 20},
        "memorisation": {
            "n_keys": 128,
            "n_values": 128,
            "batch_size": 512,
            "n_steps": 2000,
            "n_test": 2000,
        },
        "language_modelling": {
            "corpus": "stdlib:",
            "n_vocab": 2000,
            "context": 64,
            "batch_size": 32,
            "n_test": 512,
        },
    },
    "paper": {
        # 5000 epochs; with n_test, 95 % of the pairs are trained on.
        "modular_addition": {
            "modulus": 199,
            "batch_size": 4000,
            "n_steps": 47_000,
            "n_test": 990,
        },
        "needle": {"n_pairs": 30, "n_values": 127},
        "decimal_addition": {"n_digits": 10},
        "brackets": {"n_brackets": 30},
        # 21,000 epochs; the batch is ours.
        "memorisation": {
            "n_keys": 512,
            "n_values": 512,
            "d_model": 128,
            "batch_size": 32_768,
            "n_steps": 168_000,
        },
        # Rate, decay and warm-up are the paper's; budget and context are ours.
        "language_modelling": {
            "corpus": "hub:roneneldan/TinyStories",
            "n_vocab": 10_000,
            "d_model": 512,
            "context": 256,
            "batch_size": 64,
            "n_steps": 30_000,
            "learning_rate": 6e-4,
            "weight_decay": 0.1,
            "n_test": 2048,
        },
    },
}

_NARROW = 16
_TINY_RATE: dict[Trained, float] = {
    "embedding": 1e-2,
    "unembedding": 1e-2,
    "both": 1e-2,
    "everything": 1e-3,
    "body": 1e-3,
}
"""Embeddings by themselves bear, and need, a larger rate than a body does."""


def preset(size: Size, task: TaskName, trained: Trained, width: Width) -> dict[str, Any]:
    """What a size stands for, by task, by what is trained, and by width."""
    rate = {"learning_rate": _TINY_RATE[trained]} if size == "tiny" else {}
    narrow = {"d_model": _NARROW} if width == "narrow" else {}
    return rate | _EVERY_TASK[size] | _ONE_TASK[size][task] | narrow
