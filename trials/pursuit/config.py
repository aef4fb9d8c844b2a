"""The fields of the kind `pursuit`, and those that it shares with other learners."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from trials.inputs.rows import RowsConfig

_MULTIPLE = re.compile(r"(\d+(?:\.\d+)?)x")


class DictionaryConfig(RowsConfig):
    """The rows that a trial sees, and the size of the dictionary it learns for them."""

    n_atoms: int | str = Field(
        description='rows of the dictionary: a number, or a multiple of d_model such as "4x"'
    )

    @field_validator("n_atoms")
    @classmethod
    def _some_atoms(cls, n_atoms: int | str) -> int | str:
        multiple = _MULTIPLE.fullmatch(n_atoms) if isinstance(n_atoms, str) else None
        if (multiple and float(multiple[1]) > 0) or (isinstance(n_atoms, int) and n_atoms > 0):
            return n_atoms
        raise ValueError(f'{n_atoms!r} must be a number above 0 or a multiple such as "4x"')

    def resolved_atoms(self, d_model: int) -> int:
        """Rows of the dictionary for a matrix of that width."""
        if isinstance(self.n_atoms, int):
            return self.n_atoms
        return max(1, round(float(self.n_atoms.removesuffix("x")) * d_model))


class CertifiedConfig(DictionaryConfig):
    """How a dictionary is learned by exact codes, and how exact its codes must be."""

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


class PursuitConfig(CertifiedConfig):
    """One dictionary on the rows of one matrix, at one penalty."""

    l1_penalty: float = Field(
        gt=0, lt=1, description="penalty, relative to the median critical penalty of a token"
    )
