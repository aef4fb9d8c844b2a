"""The fields of the kind `residual`."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from trials.inputs.corpora import CorpusConfig
from trials.inputs.corpora.uri import parse_corpus
from trials.inputs.models import check_model_uri
from trials.pursuit.config import MAX_ATOMS, PursuitConfig

OF_THE_SOURCE = "source"


class ResidualConfig(PursuitConfig):
    """A dictionary as the kind `pursuit` learns it, and what is asked of what it leaves."""

    second_atoms: int = Field(
        default=256,
        ge=2,
        le=MAX_ATOMS,
        description="atoms of the dictionary that is learned on the residuals",
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
        "wheel:NAME, run:RUN_ID/model, source (the one that the rows are of); null leaves that out",
    )
    corpus: str | None = Field(
        default=None,
        description="text of that loss, as in the kind pretrain; null takes what the model of a "
        "run was trained on, and stdlib: for others",
    )
    evaluation_tokens: int = Field(
        default=2048, ge=16, description="tokens of held-out text that the loss is measured on"
    )
    context: int = Field(default=128, ge=2, description="tokens of a sequence of that text")

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str | None) -> str | None:
        return model if model is None or model == OF_THE_SOURCE else check_model_uri(model)

    @field_validator("corpus")
    @classmethod
    def _known_corpus(cls, corpus: str | None) -> str | None:
        if corpus is not None:
            parse_corpus(corpus)
        return corpus

    @model_validator(mode="after")
    def _text_of_the_model(self) -> ResidualConfig:
        if self.model_uri is not None:
            check_model_uri(self.model_uri)
            if self.corpus is not None and self.model_uri.startswith("run:"):
                raise ValueError(
                    f"corpus is {self.corpus}; the model of a run is measured on the sealed part "
                    "of the text that it was trained on: leave corpus out"
                )
        return self

    @property
    def model_uri(self) -> str | None:
        """The model by its URI."""
        if self.model != OF_THE_SOURCE:
            return self.model
        whole = self.source.partition("#")[0]
        return f"{whole.partition('/')[0]}/model" if whole.startswith("run:") else whole

    @property
    def text(self) -> CorpusConfig | None:
        """The text that the model's loss is measured on; None where the model's run names it."""
        if self.model_uri is None or self.model_uri.startswith("run:"):
            return None
        corpus = self.corpus or "stdlib:"
        return CorpusConfig(corpus=corpus, tokenizer=self.model_uri, n_vocab=None)
