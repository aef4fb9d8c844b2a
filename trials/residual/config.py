"""The fields of the kind `residual`."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from trials.inputs.corpora.uri import parse_corpus
from trials.inputs.models import check_model_uri
from trials.pursuit.config import PursuitConfig


class ResidualConfig(PursuitConfig):
    """A dictionary as the kind `pursuit` learns it, and what is asked of what it leaves."""

    second_atoms: int = Field(
        default=256, ge=2, description="atoms of the dictionary that is learned on the residuals"
    )
    n_dimensions: int = Field(
        default=10, ge=1, description="dimensions of the leading subspace of the residuals"
    )
    n_neighbours: int = Field(
        default=10, ge=1, le=1000, description="neighbours of a token in the space of residuals"
    )
    n_permutations: int = Field(
        default=199, ge=19, le=100_000, description="shuffles of the tokens' labels"
    )
    model: str | None = Field(
        default=None,
        description="model whose loss is measured with changed rows: hub:NAME, gguf:PATH, "
        "wheel:NAME, run:RUN_ID/model; null leaves that out",
    )
    corpus: str = Field(default="stdlib:", description="text of that loss, as in the kind pretrain")
    evaluation_tokens: int = Field(
        default=2048, ge=16, description="tokens of held-out text that the loss is measured on"
    )
    context: int = Field(default=128, ge=2, description="tokens of a sequence of that text")

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str | None) -> str | None:
        return model if model is None else check_model_uri(model)

    @field_validator("corpus")
    @classmethod
    def _known_corpus(cls, corpus: str) -> str:
        parse_corpus(corpus)
        return corpus

    @model_validator(mode="after")
    def _rows_of_the_model(self) -> ResidualConfig:
        if self.model is not None and self.model.startswith("run:"):
            raise ValueError(
                f"model is {self.model}; the tokenizer of a run lies with its corpus, so only "
                "hub:, gguf: and wheel: models can be measured here"
            )
        return self
