"""The fields of the kind `atom_map`."""

from __future__ import annotations

from pydantic import Field, field_validator

from trials.pursuit.config import PursuitConfig


class AtomMapConfig(PursuitConfig):
    """A dictionary as the kind `pursuit` learns it, and how its atoms are mapped and tested."""

    map_neighbours: tuple[int, ...] = Field(
        default=(10, 30, 100), min_length=1, description="neighbours of an atom in each UMAP"
    )
    n_maps: int = Field(
        default=5, ge=2, le=100, description="seeds of UMAP for each number of neighbours"
    )
    min_cluster_size: int = Field(
        default=5, ge=2, description="atoms of a cluster, at least (HDBSCAN)"
    )
    n_neighbours: int = Field(
        default=10, ge=1, le=1000, description="neighbours of an atom by |cosine|, in the tests"
    )
    n_top: int = Field(
        default=10, ge=2, le=100, description="tokens that stand for an atom: those with most of it"
    )
    n_permutations: int = Field(
        default=199, ge=19, le=100_000, description="shuffles of the atoms over their places"
    )
    n_references: int = Field(
        default=39, ge=19, le=10_000, description="draws of directions without clusters"
    )

    @field_validator("map_neighbours", mode="before")
    @classmethod
    def _a_list_is_meant(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given

    @field_validator("map_neighbours")
    @classmethod
    def _at_least_two(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if min(given) < 2 or len(set(given)) < len(given):
            raise ValueError(f"map_neighbours is {list(given)}; different numbers of at least 2")
        return given
