"""The fields of the kind `pursuit`."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from trials.api import Config
from trials.inputs.frequencies import check_form
from trials.inputs.nulls import Null
from trials.inputs.preprocessing import Centre, Scale

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
