"""The kind `pursuit`: learn a dictionary for the rows of an embedding matrix, code them exactly.

Tokens are weighted by `p_i^frequency_exponent` as a distribution: the weights enter the dictionary
update, the mean and the reported sums, and the code of a token does not depend on them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from trials.api import Chart, Config, Context, Control, TrialKind, TrialResult
from trials.inputs.frequencies import FrequencyTable, check_form, frequency_digest
from trials.inputs.nulls import Null
from trials.inputs.preprocessing import Centre, Scale
from trials.pursuit_metrics import METRICS

if TYPE_CHECKING:
    from trials.inputs.sources import EmbeddingMatrix

_MULTIPLE = re.compile(r"(\d+(?:\.\d+)?)x")


class PursuitConfig(Config):
    """One dictionary on one matrix."""

    source: str = Field(min_length=1, description="URI of the embedding matrix")
    n_rows: int | Literal["all"] = Field(
        default="all",
        description='tokens to use: "all", or a number of them sampled evenly by frequency',
    )
    frequencies: str = Field(
        default="zipf",
        description="token frequencies: zipf (by rank of the merge), counts:PATH.npy, corpus:PATH "
        "(a text file or folder), stdlib: (the sources of Python's library)",
    )
    frequency_exponent: float = Field(
        default=0.0, ge=0, le=1, description="tokens weigh their frequency to this power"
    )
    centre: Centre = Field(default="mean", description="what is subtracted from every row")
    scale: Scale = Field(default="mean_norm", description="what every row is divided by")
    null: Null = Field(default="none", description="what replaces the real rows, as a control")
    held_out_frac: float = Field(
        default=0.1, gt=0, le=0.4, description="share of the tokens that are sealed"
    )
    validation_frac: float = Field(
        default=0.1, gt=0, le=0.4, description="share of the tokens that choices are made on"
    )
    split_seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of the sample of rows and of the split"
    )
    n_atoms: int | str = Field(
        description='rows of the dictionary: a number, or a multiple of d_model such as "4x"'
    )
    l1_penalty: float = Field(
        gt=0, lt=1, description="penalty, relative to the median critical penalty of a token"
    )
    nonnegative: bool = Field(default=False, description="allow no negative coefficients")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-2,
        description="largest relative duality gap of a code at which the trial is certified",
    )
    max_passes: int = Field(
        default=30, ge=1, le=10_000, description="most passes over the training tokens"
    )

    @field_validator("n_rows")
    @classmethod
    def _enough_rows(cls, n_rows: int | str) -> int | str:
        if isinstance(n_rows, int) and n_rows < 20:
            raise ValueError(f'n_rows is {n_rows}; it must be "all" or at least 20')
        return n_rows

    @field_validator("n_atoms")
    @classmethod
    def _some_atoms(cls, n_atoms: int | str) -> int | str:
        multiple = _MULTIPLE.fullmatch(n_atoms) if isinstance(n_atoms, str) else None
        if (multiple and float(multiple[1]) > 0) or (isinstance(n_atoms, int) and n_atoms > 0):
            return n_atoms
        raise ValueError(f'{n_atoms!r} must be a number above 0 or a multiple such as "4x"')

    @field_validator("frequencies")
    @classmethod
    def _known_frequencies(cls, frequencies: str) -> str:
        return check_form(frequencies)

    @model_validator(mode="after")
    def _null_applies(self) -> PursuitConfig:
        if self.null == "row_permuted" and self.frequency_exponent == 0:
            raise ValueError(
                "null row_permuted needs frequency_exponent above 0: with equal weights, giving "
                "the rows to other tokens changes nothing"
            )
        return self

    def resolved_atoms(self, d_model: int) -> int:
        """Rows of the dictionary for a matrix of that width."""
        if isinstance(self.n_atoms, int):
            return self.n_atoms
        return max(1, round(float(self.n_atoms.removesuffix("x")) * d_model))


def input_digests(config: PursuitConfig) -> dict[str, str]:
    """Digests of the matrix and of what the frequencies are counted from."""
    from trials.inputs.sources import source_digest

    digests = {"source": source_digest(config.source)}
    if table := frequency_digest(config.frequencies):
        digests["frequencies"] = table
    return digests


def run(config: PursuitConfig, context: Context) -> TrialResult:
    """Load the matrix and the frequencies, then `pursue`."""
    from trials.inputs.frequencies import token_frequencies
    from trials.inputs.sources import load_tokenizer, open_source

    matrix = open_source(config.source, fetch_artifact=context.fetch_artifact)
    table = token_frequencies(
        config.frequencies, matrix.merge_rank, lambda: load_tokenizer(config.source)
    )
    return pursue(config, matrix, table, context)


def pursue(
    config: PursuitConfig, matrix: EmbeddingMatrix, table: FrequencyTable, context: Context
) -> TrialResult:
    """Learn a dictionary for the matrix, code every token, measure."""
    from trials.kernels._threads import one_blas_thread
    from trials.pursuit_artifacts import arrays, atom_table, figures
    from trials.pursuit_fit import fit, prepare
    from trials.pursuit_measure import measure, uncertified

    # The compiled solver has threads of its own; one in BLAS makes the numbers independent of how
    # many there are.
    with one_blas_thread():
        data = prepare(config, matrix, table)
        fitted = fit(data, config, context.n_threads)
        metrics = measure(data, fitted)
    return TrialResult(
        metrics=metrics,
        arrays=arrays(data, fitted),
        tables={"atoms": atom_table(data, fitted)},
        figures=figures(data, fitted),
        facts={
            "source": config.source,
            "source_digest": matrix.digest,
            "frequencies": table.name,
            "weights": "distribution weighting: codes do not depend on them",
            "null": config.null,
            "l1_penalty_absolute": f"{fitted.l1_penalty:.6g}",
            **matrix.facts,
        },
        uncertified=uncertified(data, fitted.gap, config.tolerance),
    )


_AT_EQUAL_SPARSITY = "Held-out tokens, one point a trial; dashed: the same learner on a null."

KIND = TrialKind(
    name="pursuit",
    version=1,
    summary="Sparse codes of an embedding matrix over a learned dictionary, with certificates.",
    config=PursuitConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run=run,
    input_digests=input_digests,
    control=Control(
        field="null",
        real="none",
        of="fvu_held_out",
        at="l0_held_out",
        within=(
            "source",
            "n_rows",
            "frequencies",
            "frequency_exponent",
            "centre",
            "scale",
            "n_atoms",
            "nonnegative",
            "split_seed",
        ),
    ),
    charts=(
        Chart(
            title="Error against sparsity",
            x="l0_held_out",
            y="fvu_held_out",
            colour="n_atoms",
            dash="null",
            log_x=True,
            caption=_AT_EQUAL_SPARSITY,
        ),
        Chart(
            title="Error against size of the dictionary",
            x="n_atoms_resolved",
            y="fvu_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens; at one relative penalty, l0 changes with the size too.",
        ),
        Chart(
            title="Error against description length",
            x="bits_per_token_held_out",
            y="fvu_debiased_held_out",
            colour="n_atoms",
            dash="null",
            caption="Support, coefficients and each token's share of the dictionary.",
        ),
        Chart(
            title="Bits beyond a Gaussian code",
            x="l0_held_out",
            y="excess_bits_held_out",
            colour="n_atoms",
            dash="null",
            log_x=True,
            caption="Below 0, the rows are sparser than any code of Gaussian rows can be.",
        ),
    ),
)
