"""The fields of the kind `pursuit`, and those that it shares with other learners."""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic import Field, field_validator

from trials.api import TrialError
from trials.inputs.rows import RowsConfig

MAX_ATOMS = 1 << 21
"""Far above what fits: the products of all pairs of that many atoms take 17 TB."""
MAX_MULTIPLE = 1024

_MULTIPLE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)x")


class DictionaryConfig(RowsConfig):
    """The rows that a trial sees, and the size of the dictionary it learns for them."""

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
        # One spelling per size: "01x" and "1.0x" would be trials of their own.
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
        gt=0,
        lt=1,
        description="penalty, relative to the median critical penalty of a token",
        json_schema_extra={"symbol": "λ"},
    )
