"""The kind `self_pursuit`: code rows over other rows of the same matrix.

The rows themselves are a known sparse basis: each token is itself. Without its own row, is a token
a sparse combination of other tokens? The dictionary consists of training rows, and only validation
and held-out tokens are coded. So no token meets itself or a variant of its own word: the split puts
word families on one side.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from trials.api import Chart, Comparison, Metric, TrialKind
from trials.inputs.row_control import null_control
from trials.inputs.rows import RowsConfig, rows_digests
from trials.pursuit.metrics import BITS, COHERENCE, ERROR, GAPS, SPARSITY, of_pursuit
from trials.pursuit.sides import on_sides

CODED = ("validation", "held_out")


class SelfPursuitConfig(RowsConfig):
    """Some rows, coded over other rows."""

    l1_penalty: float = Field(
        gt=0,
        lt=1,
        description="penalty, relative to the median critical penalty of the tokens",
        json_schema_extra={"symbol": "λ"},
    )
    n_dictionary_rows: int = Field(
        default=8192,
        ge=1,
        le=16_384,
        description="most training rows in the dictionary, evenly by frequency; memory grows with "
        "the square (16,384 take 4 GB)",
    )
    n_signals: int = Field(
        default=2048, ge=10, description="most tokens per side to code, evenly by frequency"
    )
    nonnegative: bool = Field(default=False, description="allow no negative coefficients")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-2,
        description="largest relative duality gap of a code at which the trial is certified",
    )


def _of_the_coded(metric: Metric) -> Metric:
    definition = metric.definition
    for side in ("validation", "held-out"):
        definition = definition.replace(f"the {side} tokens", f"the coded {side} tokens")
    return replace(metric, definition=definition)


METRICS = (
    *(_of_the_coded(m) for m in (*ERROR, *SPARSITY, *BITS) if not m.name.endswith("_train")),
    *on_sides(
        "nearest_cosine",
        "",
        "none",
        "weighted mean of the largest |cos| between the row of a token and a dictionary row",
        CODED,
        title="largest cosine with a dictionary row",
    ),
    *COHERENCE,
    *GAPS,
    Metric("used_frac", "frac", "none", "rows of the dictionary that a coded token uses / rows"),
    *of_pursuit("n_atoms_resolved"),
    Metric(
        "l1_penalty_absolute",
        "",
        "none",
        "l1_penalty times the median over coded validation tokens of max_j |d_j . x_i|",
    ),
    Metric("n_validation_tokens", "tokens", "none", "validation tokens that are coded"),
    Metric("n_held_out_tokens", "tokens", "none", "held-out tokens that are coded"),
    Metric("solver_s", "s", "minimise", "wall time of coding", timing=True),
)


KIND = TrialKind(
    name="self_pursuit",
    version=8,
    summary="Sparse codes of rows over other rows of the same matrix, with certificates.",
    config=SelfPursuitConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run="trials.self_pursuit.run:run",
    input_digests=rows_digests,
    control=null_control(
        Comparison(
            "fvu_omp_held_out",
            at="l0_held_out",
            also=(("fvu_debiased_held_out", "l0_held_out"), ("fvu_held_out", "l0_held_out")),
        ),
        Comparison(
            "code_bits_omp_held_out",
            at="fvu_rounded_omp_held_out",
            shown="difference",
            also=(("code_bits_held_out", "fvu_rounded_held_out"),),
        ),
        within=("n_dictionary_rows", "nonnegative"),
    ),
    charts=(
        Chart(
            title="Error against sparsity",
            x="l0_held_out",
            y="fvu_held_out",
            colour="n_dictionary_rows",
            dash="null",
            log_x=True,
            caption="Held-out tokens over rows of other words; dashed: the same on a null.",
        ),
        Chart(
            title="Bits beyond a Gaussian code",
            x="l0_held_out",
            y="excess_bits_held_out",
            colour="n_dictionary_rows",
            dash="null",
            log_x=True,
            caption="Below 0, the rows are sparser than any code of Gaussian rows can be.",
        ),
    ),
)
