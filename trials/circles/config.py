"""The fields of the kind `circles`."""

from __future__ import annotations

from pydantic import Field, model_validator

from trials.pursuit.config import PursuitConfig


class CirclesConfig(PursuitConfig):
    """A dictionary as the kind `pursuit` learns it, and where circles are looked for."""

    n_permutations: int = Field(
        default=9999,
        ge=99,
        le=1_000_000,
        description="orders of a labelled set that are tried, where there are too many for all",
    )
    n_candidates: int = Field(
        default=300,
        ge=10,
        le=10_000,
        description="neighbourhoods of tokens that are searched for loops, and as many groups of "
        "atoms, at most",
    )
    n_points: int = Field(
        default=30, ge=10, le=200, description="tokens of a candidate, one a word family"
    )
    n_components: int = Field(
        default=3, ge=2, le=20, description="principal components of a candidate that are searched"
    )
    n_null: int = Field(
        default=24, ge=9, le=9999, description="Gaussian clouds that each candidate is held against"
    )
    group_size: int = Field(
        default=4, ge=2, le=100, description="atoms of a group, nearest to each other by |cosine|"
    )

    @model_validator(mode="after")
    def _room_for_components(self) -> CirclesConfig:
        if self.n_points < self.n_components + 2:
            raise ValueError(
                f"n_points is {self.n_points}; it must be at least n_components + 2, "
                f"{self.n_components + 2}"
            )
        if self.group_size < self.n_components:
            raise ValueError(
                f"group_size is {self.group_size}; it must be at least n_components, "
                f"{self.n_components}"
            )
        return self
