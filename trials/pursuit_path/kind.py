"""The kind `pursuit_path`: one size of dictionary, a whole path of penalties in one trial.

Dictionary sizes, checkpoints and nulls are comparable at equal sparsity or bits, not at equal
penalty. The path runs from the highest penalty down, each dictionary starts from the last, and
its curves are read at fixed sparsity and at fixed bits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from trials.api import Chart, Comparison, Metric, TrialKind
from trials.inputs.row_control import null_control
from trials.inputs.rows import rows_digests
from trials.pursuit.kind import CertifiedConfig, PursuitConfig
from trials.pursuit.metrics import of_pursuit


class PursuitPathConfig(CertifiedConfig):
    """One dictionary size on the rows of one matrix, along a path of penalties."""

    highest_penalty: float = Field(
        default=0.7,
        gt=0,
        lt=1,
        description="first penalty of the path, relative to the median critical penalty of the "
        "tokens",
    )
    lowest_penalty: float = Field(
        default=0.15, gt=0, lt=1, description="last penalty of the path, relative to the same"
    )
    n_penalties: int = Field(
        default=10, ge=2, le=200, description="penalties from highest to lowest, log-spaced"
    )
    dictionary: Literal["per_penalty", "shared"] = Field(
        default="per_penalty",
        description="learned at each penalty, starting from the previous one, or once for all of "
        "them",
    )
    shared_penalty: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="relative penalty that a shared dictionary is learned at",
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
        """The relative penalties, descending."""
        path = np.geomspace(self.highest_penalty, self.lowest_penalty, self.n_penalties)
        return [float(penalty) for penalty in path]

    def at(self, l1_penalty: float) -> PursuitConfig:
        """The same rows, size and solver at one penalty."""
        shared = {name: getattr(self, name) for name in CertifiedConfig.model_fields}
        return PursuitConfig(**shared, l1_penalty=l1_penalty)


COUNTS = (
    "n_atoms_resolved",
    "effective_sample_size",
    "n_train_tokens",
    "n_validation_tokens",
    "n_held_out_tokens",
)
"""Metrics that do not change along the path."""
BEST_BITS = ("excess_bits_omp", "net_bits", "net_bits_omp")
"""Bits that are read where those of the validation tokens are least, besides `excess_bits`."""
AT_L0 = (4.0, 8.0, 16.0, 32.0, 64.0)
AT_BITS = (25.0, 50.0, 100.0, 200.0, 400.0)

SIDES = ("validation", "held_out")


def _title(name: str, at: str) -> str:
    """What the kind `pursuit` calls a metric, `at` before the details in brackets."""
    title = of_pursuit(name)[0].title
    words, mark, details = title.partition(" (" if " (" in title else ",")
    return f"{words} at {at}{mark}{details}"


def _read_off(name: str, unit: str, x: str, at: tuple[float, ...], log_y: bool) -> list[Metric]:
    """`name` read off the path at each value `at` of `x` (`l0` or `code_bits`)."""
    short, of_x = ("l0", "atoms") if x == "l0" else ("bits", "bits")
    scale = f"log {x} and log {name}" if log_y else f"log {x}"
    return [
        Metric(
            f"{name}_{side}_at_{short}_{value:.0f}",
            unit,
            "minimise",
            f"{name}_{side} of the kind pursuit where {x}_{side} is {value:.0f} {of_x}, "
            f"interpolated along the path (linear in {scale}); NaN outside the path",
            held_out=side == "held_out",
            title=_title(f"{name}_{side}", f"{value:.0f} {of_x} per token"),
        )
        for value in at
        for side in SIDES
    ]


METRICS = (
    Metric(
        "excess_bits_validation",
        "bits",
        "minimise",
        "least over the path of excess_bits of the kind pursuit on validation tokens (code_bits "
        "minus gaussian_bits at the same error)",
        title=_title("excess_bits_validation", "the best penalty"),
    ),
    Metric(
        "excess_bits_held_out",
        "bits",
        "minimise",
        "excess_bits of the held-out tokens at the penalty where that of the validation tokens is "
        "least",
        held_out=True,
        title=_title("excess_bits_held_out", "the best penalty"),
    ),
    *(
        Metric(
            f"{name}_held_out",
            "bits",
            "minimise",
            f"{name} of the kind pursuit on held-out tokens at the penalty where that of the "
            "validation tokens is least",
            held_out=True,
            title=_title(f"{name}_held_out", "the best penalty"),
        )
        for name in BEST_BITS
    ),
    Metric("best_penalty", "", "none", "that penalty, relative to the median critical penalty"),
    Metric("l0_held_out_best", "atoms", "none", "l0 of held-out tokens there", held_out=True),
    Metric("fvu_held_out_best", "frac", "none", "fvu of held-out tokens there", held_out=True),
    *_read_off("fvu", "frac", "l0", AT_L0, log_y=True),
    *_read_off("fvu_debiased", "frac", "l0", AT_L0, log_y=True),
    *_read_off("fvu_omp", "frac", "l0", AT_L0, log_y=True),
    *_read_off("excess_bits", "bits", "l0", AT_L0, log_y=False),
    *_read_off("excess_bits_omp", "bits", "l0", AT_L0, log_y=False),
    *_read_off("fvu_rounded", "frac", "code_bits", AT_BITS, log_y=True),
    *_read_off("fvu_rounded_omp", "frac", "code_bits_omp", AT_BITS, log_y=True),
    Metric("l0_held_out_min", "atoms", "none", "least l0 of held-out tokens on the path", True),
    Metric("l0_held_out_max", "atoms", "none", "largest l0 of held-out tokens on the path", True),
    Metric("fvu_validation_last", "frac", "minimise", "fvu of validation tokens, last penalty"),
    Metric("l0_validation_last", "atoms", "none", "l0 of validation tokens, last penalty"),
    Metric(
        "gap_max",
        "",
        "minimise",
        "maximum over tokens and penalties of the relative duality gap of the code, float64",
    ),
    Metric("certified_frac", "frac", "maximise", "codes with a gap of at most tolerance / codes"),
    Metric(
        "converged_frac",
        "frac",
        "maximise",
        "penalties at which learning converged before max_passes / penalties",
    ),
    Metric(
        "memorises",
        "",
        "minimise",
        "1 if the dictionary memorises tokens (as in the kind pursuit) at any penalty, else 0",
    ),
    Metric("n_penalties_done", "penalties", "none", "points of the path"),
    *of_pursuit(*COUNTS),
    Metric(
        "solver_s", "s", "minimise", "wall time of coding all tokens, all penalties", timing=True
    ),
    Metric("learning_s", "s", "minimise", "wall time of learning, all penalties", timing=True),
)


def _best(
    *names: str, where: str = "", shown: Literal["ratio", "difference"] = "ratio"
) -> Comparison:
    """The best of some metrics of held-out tokens at one size, across learners."""
    first, *others = ("_".join(filter(None, (name, "held_out", where))) for name in names)
    at = "n_atoms_resolved"
    return Comparison(first, at, shown, tuple((other, at) for other in others), ("learner",))


KIND = TrialKind(
    name="pursuit_path",
    version=8,
    summary="Pursuit along a path of penalties, read at fixed sparsity and fixed bits.",
    config=PursuitPathConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run="trials.pursuit_path.run:run",
    input_digests=rows_digests,
    control=null_control(
        # Real and null have the same dictionary size, so the curves are already matched.
        *(_best("fvu_omp", "fvu_debiased", "fvu", where=f"at_l0_{l0}") for l0 in (16, 8, 32)),
        _best("fvu_rounded_omp", "fvu_rounded", where="at_bits_200"),
        _best("excess_bits_omp", "excess_bits", shown="difference"),
        within=("n_atoms", "nonnegative", "dictionary"),
    ),
    reports=("excess_bits_validation", "fvu_validation_last", "l0_validation_last", "gap_max"),
    charts=(
        Chart(
            title="Error at 16 atoms per token",
            x="n_atoms_resolved",
            y="fvu_held_out_at_l0_16",
            colour="source",
            dash="null",
            log_x=True,
            caption="Held-out tokens, read off each trial's path; dashed: the same on a null.",
        ),
        Chart(
            title="Error at 200 bits per token",
            x="n_atoms_resolved",
            y="fvu_rounded_held_out_at_bits_200",
            colour="source",
            dash="null",
            log_x=True,
            caption="Held-out tokens; bits of the code, without the dictionary.",
        ),
        Chart(
            title="Does the dictionary pay for itself?",
            x="n_atoms_resolved",
            y="net_bits_omp_held_out",
            colour="source",
            dash="null",
            log_x=True,
            caption="Codes and dictionary minus a Gaussian code and its eigenbasis, bits per token "
            "at equal error. Below 0, the dictionary pays for itself.",
        ),
        Chart(
            title="Bits beyond a Gaussian code, at the best penalty",
            x="n_atoms_resolved",
            y="excess_bits_held_out",
            colour="source",
            dash="null",
            log_x=True,
            caption="Below 0, the rows are sparser than any code of Gaussian rows can be.",
        ),
    ),
)
