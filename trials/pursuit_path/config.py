"""The fields of the kind `pursuit_path`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from trials.pursuit.config import CertifiedConfig, PursuitConfig


class PursuitPathConfig(CertifiedConfig):
    """One size of dictionary on the rows of one matrix, along a path of penalties."""

    highest_penalty: float = Field(
        default=0.7,
        gt=0,
        lt=1,
        description="first penalty of the path, relative to the median critical penalty of a token",
    )
    lowest_penalty: float = Field(
        default=0.15, gt=0, lt=1, description="last penalty of the path, relative to the same"
    )
    n_penalties: int = Field(
        default=10, ge=2, le=200, description="penalties from highest to lowest, log-spaced"
    )
    dictionary: Literal["per_penalty", "shared"] = Field(
        default="per_penalty",
        description="learned anew at each penalty, from the last one's, or once for all of them",
    )
    shared_penalty: float | None = Field(
        default=None, gt=0, lt=1, description="shared: relative penalty it is learned at"
    )

    @model_validator(mode="after")
    def _consistent(self) -> PursuitPathConfig:
        if not self.lowest_penalty < self.highest_penalty:
            raise ValueError(
                f"lowest_penalty {self.lowest_penalty} must be below highest_penalty "
                f"{self.highest_penalty}"
            )
        if (self.dictionary == "shared") != (self.shared_penalty is not None):
            raise ValueError("dictionary shared needs shared_penalty, and per_penalty takes none")
        return self

    def penalties(self) -> list[float]:
        """The relative penalties, falling."""
        path = np.geomspace(self.highest_penalty, self.lowest_penalty, self.n_penalties)
        return [float(penalty) for penalty in path]

    def at(self, l1_penalty: float) -> PursuitConfig:
        """The same rows, size and solver at one penalty."""
        shared = {name: getattr(self, name) for name in CertifiedConfig.model_fields}
        return PursuitConfig(**shared, l1_penalty=l1_penalty)
