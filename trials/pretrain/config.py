"""The fields of the kind `pretrain`, and the sizes that set many of them at once."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trials.inputs.corpora import CorpusConfig
from trials.inputs.sources.uri import check_source

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


Arm = Literal["learned", "frozen_random", "frozen_permuted", "frozen_learned"]

_TINY = SIZES["tiny"]


class PretrainConfig(CorpusConfig):
    """A GPT-2 trained from scratch, with embeddings that are learned or frozen."""

    size: Size = Field(
        default="tiny",
        description="preset for fields of model, budget, corpus and tokenizer that are not given: "
        "tiny (a minute on one core), small, 124m (the smallest GPT-2, on GPUs)",
    )
    tying: Literal["tied", "untied"] = Field(
        description="tied: input and output embedding are one matrix"
    )
    input_embedding: Arm = Field(
        default="learned",
        description="learned, or frozen: random rows, or rows of input_rows_from, unchanged or "
        "permuted over the tokens",
    )
    output_embedding: Arm = Field(
        default="learned",
        description="the same for the output; tied models need the value of input_embedding",
    )
    output_bias: bool = Field(default=False, description="learn a bias per logit (GPT-2 has none)")
    input_rows_from: str | None = Field(
        default=None,
        description="embedding source of frozen_permuted, frozen_learned and matched random input "
        "rows, as run:RUN_ID/step-001000; seed s takes number s + 1 of several with spaces between",
    )
    output_rows_from: str | None = Field(
        default=None,
        description="the same for untied output rows, as run:RUN_ID/step-001000#output_embedding",
    )
    rows_distribution: Literal["normal", "sphere", "norm_matched", "spectrum_matched"] = Field(
        default="sphere",
        description="frozen random rows: normal, sphere (of one length), or matched to rows of "
        "input_rows_from, output_rows_from",
    )
    row_norm: float | Literal["logits", "initial"] = Field(
        default="logits",
        description="norm of random rows (sphere, normal): logits, 10 / sqrt(d_model), which "
        "allows logits of 10; initial, the norm of learned rows at initialisation; or a number",
    )
    max_cosine: float | None = Field(
        default=None, gt=0, le=1, description="no two frozen random rows have a larger |cosine|"
    )
    expected_conflicts: float | None = Field(
        default=None,
        gt=0,
        description="sets max_cosine for any model size: a random row exceeds the threshold with "
        "this many other rows on average",
    )
    rows_method: Literal["rejection", "repulsion"] = Field(
        default="rejection", description="how max_cosine is reached"
    )
    rows_seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="seed of frozen rows; null: seed"
    )
    data_seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="seed of the order of the text; null: seed"
    )
    n_layers: int = Field(default=_TINY["n_layers"], ge=1, le=1000, description="blocks")
    n_heads: int = Field(default=_TINY["n_heads"], ge=1, description="attention heads per block")
    d_model: int = Field(default=_TINY["d_model"], ge=2, description="width")
    context: int = Field(default=_TINY["context"], ge=2, description="tokens per sequence")
    initial_std: float = Field(
        default=0.02, gt=0, le=1, description="standard deviation of initial weights"
    )
    n_tokens: int = Field(
        default=_TINY["n_tokens"], ge=1, description="training tokens, cut to whole batches"
    )
    batch_size: int = Field(default=_TINY["batch_size"], ge=1, description="sequences per step")
    micro_batch_size: int = Field(
        default=_TINY["micro_batch_size"],
        ge=1,
        description="sequences per forward pass; a step accumulates their gradients",
    )
    learning_rate: float = Field(
        default=_TINY["learning_rate"], gt=0, le=1, description="peak, after the warm-up"
    )
    warm_up_steps: int = Field(
        default=_TINY["warm_up_steps"],
        ge=0,
        description="steps of linear warm-up; then a cosine falls to a tenth of the peak",
    )
    weight_decay: float = Field(
        default=0.1, ge=0, le=1, description="of matrices; embeddings, biases and gains have none"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="precision of matrix products; weights are float32"
    )
    compile: bool = Field(default=True, description="compile the model (GPU only)")
    n_evaluations: int = Field(
        default=20, ge=1, le=10_000, description="validations and reports during training"
    )
    evaluation_tokens: int = Field(
        default=_TINY["evaluation_tokens"],
        ge=1,
        description="most tokens of the validation side, and of the held-out side, that a loss is "
        "measured on",
    )
    n_snapshots: int = Field(
        default=2,
        ge=2,
        le=1000,
        description="number of steps whose embeddings are kept: the first, the last, and "
        "log-spaced steps between them",
    )
    checkpoint_steps: int = Field(
        default=1000, ge=1, description="steps between checkpoints; each report writes one too"
    )
    keep_model: bool = Field(default=False, description="store all trained weights as an artifact")

    @model_validator(mode="before")
    @classmethod
    def _fields_of_the_size(cls, given: Any) -> Any:
        if not isinstance(given, dict) or (size := given.get("size", "tiny")) not in SIZES:
            return given
        preset = SIZES[size]
        if given.get("tokenizer", "bpe") != "bpe":
            preset = preset | {"n_vocab": None}
        if "micro_batch_size" not in given and "batch_size" in given:
            preset = preset | {"micro_batch_size": given["batch_size"]}
        return preset | given

    @field_validator("input_rows_from", "output_rows_from")
    @classmethod
    def _known_sources(cls, sources: str | None) -> str | None:
        several = None if sources is None else sources.split() or [sources]
        return " ".join(map(check_source, several)) if several else None

    @field_validator("row_norm")
    @classmethod
    def _some_length(cls, row_norm: float | str) -> float | str:
        if isinstance(row_norm, float) and row_norm <= 0:
            raise ValueError(f'row_norm is {row_norm}; it must be above 0, "logits" or "initial"')
        return row_norm

    @model_validator(mode="after")
    def _one_matrix_has_one_fate(self) -> PretrainConfig:
        if self.tying == "tied" and self.output_embedding != self.input_embedding:
            raise ValueError(
                f"input_embedding is {self.input_embedding} and output_embedding "
                f"{self.output_embedding}; tied, they are one matrix and must be the same"
            )
        return self

    @model_validator(mode="after")
    def _rows_come_from_somewhere(self) -> PretrainConfig:
        for side in self.sides:
            if self.needs_rows(side) and self.rows_from(side) is None:
                like = f", {self.rows_distribution}" if self.arm(side) == "frozen_random" else ""
                raise ValueError(
                    f"{side}_embedding {self.arm(side)}{like} needs {side}_rows_from, such as "
                    "run:RUN_ID/step-001000"
                )
        return self

    @model_validator(mode="after")
    def _threshold_of_directions(self) -> PretrainConfig:
        names = ("max_cosine", "expected_conflicts")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if len(given) == 2:
            raise ValueError(
                f"max_cosine is {self.max_cosine} and expected_conflicts "
                f"{self.expected_conflicts}; one of them sets the threshold"
            )
        for name, value in given.items():
            if self.rows_distribution in ("normal", "spectrum_matched"):
                rows = f"rows_distribution {self.rows_distribution} has no threshold"
                raise ValueError(f"{name} is {value}; {rows}, sphere and norm_matched have one")
        return self

    @model_validator(mode="after")
    def _whole_parts(self) -> PretrainConfig:
        for whole, part in (("d_model", "n_heads"), ("batch_size", "micro_batch_size")):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"{whole} is {getattr(self, whole)}, which {part} {getattr(self, part)} does "
                    "not divide"
                )
        if self.warm_up_steps >= self.n_steps:
            steps = f"{self.n_steps} steps of {self.batch_size} x {self.context} tokens"
            fewest = f"there must be more than warm_up_steps {self.warm_up_steps}"
            raise ValueError(f"n_tokens {self.n_tokens} are {steps}; {fewest}")
        return self

    @property
    def n_steps(self) -> int:
        """Steps of training."""
        return self.n_tokens // (self.batch_size * self.context)

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides of the model that have their own matrix."""
        return ("input",) if self.tying == "tied" else ("input", "output")

    def arm(self, side: str) -> Arm:
        """Whether the embedding of a side is learned, or how it is frozen."""
        return self.input_embedding if side == "input" else self.output_embedding

    def all_rows_from(self, side: str) -> tuple[str, ...]:
        """The sources among which the seeds of a sweep share out the frozen rows of a side."""
        sources = self.input_rows_from if side == "input" else self.output_rows_from
        return tuple((sources or "").split())

    def rows_from(self, side: str) -> str | None:
        """The source of this seed's frozen rows; the next one is never the model of this seed."""
        sources = self.all_rows_from(side)
        return sources[(self.seed + 1) % len(sources)] if sources else None

    def needs_rows(self, side: str) -> bool:
        """Whether the frozen rows of a side are made from other rows."""
        if self.arm(side) == "frozen_random":
            return self.rows_distribution in ("norm_matched", "spectrum_matched")
        return self.arm(side) != "learned"

    @property
    def resolved_row_norm(self) -> float:
        """Norm of frozen random rows."""
        if self.row_norm == "logits":
            return 10 / math.sqrt(self.d_model)
        if self.row_norm == "initial":
            return self.initial_std * math.sqrt(self.d_model)
        return self.row_norm
