"""The kind `pursuit`: learn a dictionary for the rows of an embedding matrix, code them exactly.

Tokens are weighted by `p_i^frequency_exponent`. The weights enter the dictionary update, the mean
and the reported sums; the code of a token does not depend on them.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

from pydantic import Field, field_validator, model_validator

from trials.api import Bound, Chart, Comparison, TrialError, TrialKind
from trials.inputs.row_control import ROWS_FIELDS, null_control
from trials.inputs.rows import RowsConfig, rows_digests
from trials.pursuit.metrics import METRICS

MAX_ATOMS = 1 << 21
"""Far more than fits in memory: the Gram matrix of this many atoms takes 17 TB."""
MAX_MULTIPLE = 1024

_MULTIPLE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)x")


class DictionaryConfig(RowsConfig):
    """The rows of a trial, and the size of the dictionary that is learned for them."""

    n_atoms: int | str = Field(
        description='rows of the dictionary: a number, or a multiple of d_model such as "4x"'
    )

    @field_validator("n_atoms")
    @classmethod
    def _some_atoms(cls, n_atoms: int | str) -> int | str:
        if isinstance(n_atoms, int):
            return _at_most(n_atoms, n_atoms, MAX_ATOMS)
        if (multiple := _MULTIPLE.fullmatch(n_atoms)) is None:
            raise ValueError(f'{n_atoms!r} must be a number above 0 or a multiple such as "4x"')
        number = Decimal(multiple[1])
        _at_most(n_atoms, number, MAX_MULTIPLE)
        # One spelling per size: otherwise "01x" and "1.0x" would be different trials.
        return f"{number.normalize():f}x"

    def resolved_atoms(self, d_model: int) -> int:
        """Rows of the dictionary for a matrix of that width; TrialError above `MAX_ATOMS`."""
        if isinstance(self.n_atoms, int):
            return self.n_atoms
        n_atoms = max(1, round(float(self.n_atoms.removesuffix("x")) * d_model))
        if n_atoms > MAX_ATOMS:
            raise TrialError(
                f"n_atoms {self.n_atoms} of d_model {d_model} is {n_atoms:,} atoms; "
                f"at most {MAX_ATOMS:,}"
            )
        return n_atoms


def _at_most(given: int | str, number: int | Decimal, limit: int) -> int | str:
    if not number > 0:
        raise ValueError(f'{given!r} must be a number above 0 or a multiple such as "4x"')
    if number > limit:
        raise ValueError(
            f"{given!r} is too many atoms; at most {MAX_MULTIPLE}x, or the number {MAX_ATOMS:,}"
        )
    return given


class CertifiedConfig(DictionaryConfig):
    """How a dictionary is learned with exact codes, and how exact the codes must be."""

    learner: Literal["lasso", "omp"] = Field(
        default="lasso",
        description="codes that the dictionary is learned for: exact LASSO codes at l1_penalty, or "
        "orthogonal matching pursuit with as many atoms per token as these, from the same "
        "starting dictionary. l1_penalty sets the sparsity of both",
    )
    nonnegative: bool = Field(default=False, description="allow no negative coefficients")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-2,
        description="largest relative duality gap of a code at which the trial is certified",
    )
    max_passes: int = Field(
        default=30, ge=1, le=10_000, description="maximum number of passes over the training tokens"
    )

    @model_validator(mode="after")
    def _signs(self) -> CertifiedConfig:
        if self.learner == "omp" and self.nonnegative:
            raise ValueError("learner omp has signed codes; nonnegative must be false")
        return self


class PursuitConfig(CertifiedConfig):
    """One dictionary on the rows of one matrix, at one penalty."""

    l1_penalty: float = Field(
        gt=0,
        lt=1,
        description="penalty, relative to the median critical penalty of the tokens",
        json_schema_extra={"symbol": "λ"},
    )


_AT_EQUAL_SPARSITY = "Held-out tokens; dashed: the same learner on a null."


KIND = TrialKind(
    name="pursuit",
    version=9,
    summary="Sparse codes of an embedding matrix over a learned dictionary, with certificates.",
    config=PursuitConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run="trials.pursuit.run:run",
    autoencoder="trials.pursuit.export:exported",
    input_digests=rows_digests,
    control=null_control(
        Comparison(
            "fvu_omp_held_out",
            at="l0_held_out",
            also=(("fvu_debiased_held_out", "l0_held_out"), ("fvu_held_out", "l0_held_out")),
            across=("learner",),
        ),
        Comparison(
            "fvu_omp_held_out",
            at="bits_per_token_omp_held_out",
            also=(("fvu_debiased_held_out", "bits_per_token_held_out"),),
            across=("learner",),
        ),
        Comparison(
            "bits_per_token_omp_held_out",
            at="fvu_omp_held_out",
            shown="difference",
            also=(("bits_per_token_held_out", "fvu_debiased_held_out"),),
            across=("learner",),
        ),
        within=("n_atoms", "nonnegative"),
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
            caption="Held-out tokens. At a fixed relative penalty, l0 changes with the size too.",
        ),
        Chart(
            title="Error over training",
            x="training_step",
            y="fvu_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens of checkpoints. At a fixed relative penalty, l0 changes too.",
        ),
        Chart(
            title="Error against description length",
            x="code_bits_held_out",
            y="fvu_rounded_held_out",
            colour="n_atoms",
            dash="null",
            caption="Bits per token without the dictionary, and the error of the rounded code. No "
            "code of Gaussian rows lies left of the bound.",
            bound=Bound(
                x="gaussian_bits_held_out",
                label="Gaussian of the same spectrum (bound)",
                within=ROWS_FIELDS,
            ),
        ),
        Chart(
            title="Does the dictionary pay for itself?",
            x="n_atoms_resolved",
            y="net_bits_omp_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Codes and dictionary minus a Gaussian code and its eigenbasis, bits per token "
            "at equal error. Below 0, the dictionary pays for itself.",
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
