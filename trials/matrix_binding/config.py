"""The fields of the kind `matrix_binding`."""

from __future__ import annotations

from pydantic import Field, model_validator

from trials.inputs.rows import RowsConfig


class MatrixBindingConfig(RowsConfig):
    """Relations between tokens of one matrix, and what is asked of each."""

    n_pairs_min: int = Field(
        default=20, ge=20, description="pairs below which a relation is only named"
    )
    n_pairs_max: int = Field(
        default=200,
        ge=20,
        le=2000,
        description="pairs of a relation to use, at most, evenly by frequency; memory and time "
        "grow as the square",
    )
    n_folds: int = Field(default=5, ge=2, le=10, description="folds over the pairs of a relation")
    n_permutations: int = Field(
        default=199, ge=19, le=100_000, description="permutations of residuals over pairs"
    )
    rank: int = Field(default=4, ge=1, description="rank of the low-rank matrix of model M3")
    n_retrieved: int = Field(
        default=40,
        ge=1,
        description="pairs of a relation, at most, whose second token is looked up among all "
        "tokens",
    )

    @model_validator(mode="after")
    def _room_for_pairs(self) -> MatrixBindingConfig:
        if self.n_pairs_max < self.n_pairs_min:
            raise ValueError(
                f"n_pairs_max is {self.n_pairs_max}; it must be at least n_pairs_min, "
                f"{self.n_pairs_min}"
            )
        return self
