"""The fields of the kind `embedding_only`, and the sizes that set many of them at once."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trials.inputs.corpora import CorpusConfig

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
        # With so few pairs the model memorises them unless weight decay is strong.
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
"""Embeddings alone tolerate, and need, a higher learning rate than a body."""


def preset(size: Size, task: TaskName, trained: Trained, width: Width) -> dict[str, Any]:
    """The fields that a size sets, by task, trained part and width."""
    rate = {"learning_rate": _TINY_RATE[trained]} if size == "tiny" else {}
    narrow = {"d_model": _NARROW} if width == "narrow" else {}
    return rate | _EVERY_TASK[size] | _ONE_TASK[size][task] | narrow


_TINY = preset("tiny", "needle", "both", "wide")
_GIVEN_BY = ("size", "task", "trained", "width")


class EmbeddingOnlyConfig(CorpusConfig):
    """A task, a GPT-2 with a random body, and the part of it that is trained."""

    size: Size = Field(
        default="tiny",
        description="preset for fields that are not given, per task: tiny (about a minute on one "
        "core), paper (as published, on a GPU)",
    )
    task: TaskName = Field(
        description="modular_addition (a b, a + b mod modulus), needle (the value of a key among "
        "pairs), decimal_addition (digits reversed), brackets (balanced or not), memorisation "
        "(random values of pairs of keys), language_modelling (the corpus)"
    )
    trained: Trained = Field(
        default="both",
        description="what is trained; the rest stays at its random initialisation: embedding "
        "(tokens and positions), unembedding (logits), both, everything, body (all except both)",
    )
    positions: Literal["with_embedding", "frozen_random", "frozen_sinusoidal"] = Field(
        default="with_embedding",
        description="position embeddings: trained together with token embeddings, or frozen",
    )
    modulus: int = Field(
        default=59,
        ge=2,
        le=10_000,
        description="modulus of modular_addition; its residues are the tokens",
    )
    n_pairs: int = Field(
        default=4, ge=1, le=1000, description="key-value pairs before the question of needle"
    )
    n_values: int = Field(
        default=8, ge=2, le=100_000, description="number of values in needle and memorisation"
    )
    n_digits: int = Field(
        default=3, ge=1, le=1000, description="digits of the summands of decimal_addition"
    )
    n_brackets: int = Field(default=20, ge=2, le=1000, description="length of a string of brackets")
    n_keys: int = Field(
        default=128, ge=1, le=10_000, description="keys of memorisation, which has n_keys^2 pairs"
    )
    context: int = Field(default=64, ge=1, description="tokens per sequence of language_modelling")
    n_layers: int = Field(default=2, ge=1, le=1000, description="blocks")
    n_heads: int = Field(default=4, ge=1, description="attention heads per block")
    width: Width = Field(
        default="wide",
        description="sets d_model if it is not given: narrow, 16; wide, what size says",
    )
    d_model: int = Field(default=_TINY["d_model"], ge=2, description="width")
    initial_std: float | Literal["by_width"] = Field(
        default=_TINY["initial_std"],
        description="standard deviation of initial weights; by_width: 1 / sqrt(d_model), which "
        "acts alike on narrow and wide bodies (GPT-2 uses 0.02 at any width)",
    )
    n_steps: int = Field(default=_TINY["n_steps"], ge=1, description="steps of training")
    batch_size: int = Field(default=_TINY["batch_size"], ge=1, description="sequences per step")
    learning_rate: float = Field(
        default=_TINY["learning_rate"],
        gt=0,
        le=1,
        description="peak learning rate, after the warm-up",
    )
    warm_up_steps: int = Field(
        default=_TINY["warm_up_steps"],
        ge=0,
        description="steps of linear warm-up; then the learning rate falls to 0 along a cosine",
    )
    weight_decay: float = Field(
        default=1e-3, ge=0, le=1, description="weight decay of all trained parameters"
    )
    n_test: int = Field(
        default=_TINY["n_test"],
        ge=1,
        description="sequences of the validation set, and of the held-out set; neither is trained "
        "on (except for memorisation)",
    )
    n_evaluations: int = Field(
        default=20, ge=1, le=10_000, description="validations and reports during training"
    )
    checkpoint_steps: int = Field(
        default=1000, ge=1, description="steps between checkpoints; each report writes one too"
    )

    @model_validator(mode="before")
    @classmethod
    def _fields_of_the_size(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        named = {n: given.get(n, cls.model_fields[n].default) for n in _GIVEN_BY}
        known = (named[n] in _allowed(cls, n) for n in _GIVEN_BY)
        return preset(**named) | given if all(known) else given

    @field_validator("initial_std")
    @classmethod
    def _some_width(cls, initial_std: float | str) -> float | str:
        if isinstance(initial_std, float) and not 0 < initial_std <= 1:
            raise ValueError(
                f'initial_std is {initial_std}; it must be above 0 and at most 1, or "by_width"'
            )
        return initial_std

    @model_validator(mode="after")
    def _fits(self) -> EmbeddingOnlyConfig:
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model is {self.d_model}, which n_heads {self.n_heads} does not divide"
            )
        if self.warm_up_steps >= self.n_steps:
            raise ValueError(
                f"n_steps is {self.n_steps}; there must be more than warm_up_steps "
                f"{self.warm_up_steps}"
            )
        if self.task == "brackets" and self.n_brackets % 2:
            raise ValueError(
                f"n_brackets is {self.n_brackets}; only an even number can be balanced, as "
                f"{self.n_brackets + 1}"
            )
        return self

    @model_validator(mode="after")
    def _leaves_enough_to_train_on(self) -> EmbeddingOnlyConfig:
        # Memorisation is tested on what it is trained on. About half of the bracket strings are
        # balanced, and the two test sets may take half of the balanced ones.
        few = {
            "modular_addition": self.modulus**2 // 2,
            "memorisation": self.n_keys**2,
            "brackets": math.comb(self.n_brackets, self.n_brackets // 2)
            // (self.n_brackets // 2 + 1),
        }
        if self.task in few and 2 * self.n_test > few[self.task]:
            raise ValueError(
                f"n_test is {self.n_test}; validation and held-out set may take {few[self.task]} "
                f"different sequences of {self.task}: at most {few[self.task] // 2} each"
            )
        return self

    @property
    def resolved_std(self) -> float:
        """Standard deviation of initial weights."""
        if self.initial_std == "by_width":
            return 1 / math.sqrt(self.d_model)
        return self.initial_std


def _allowed(config: type[EmbeddingOnlyConfig], field: str) -> tuple[str, ...]:
    return tuple(config.model_fields[field].annotation.__args__)  # type: ignore[union-attr]
