"""The kind `pursuit`: learn a dictionary for the rows of an embedding matrix, code them exactly.

Tokens are weighted by `p_i^frequency_exponent` as a distribution: the weights enter the dictionary
update, the mean and the reported sums, and the code of a token does not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.api import Chart, Context, Control, TrialKind, TrialResult
from trials.inputs.frequencies import FrequencyTable, frequency_digest
from trials.pursuit.config import PursuitConfig
from trials.pursuit.metrics import METRICS

if TYPE_CHECKING:
    from trials.inputs.sources import EmbeddingMatrix


def input_digests(config: PursuitConfig) -> dict[str, str]:
    """Digests of the matrix and of what the frequencies are counted from."""
    from trials.inputs.sources import source_digest

    digests = {"source": source_digest(config.source)}
    if table := frequency_digest(config.frequencies):
        digests["frequencies"] = table
    return digests


def run(config: PursuitConfig, context: Context) -> TrialResult:
    """Load the matrix and the frequencies, then `pursue`."""
    from trials.inputs.frequencies import token_frequencies
    from trials.inputs.sources import load_tokenizer, open_source

    matrix = open_source(config.source, fetch_artifact=context.fetch_artifact)
    table = token_frequencies(
        config.frequencies, matrix.merge_rank, lambda: load_tokenizer(config.source)
    )
    return pursue(config, matrix, table, context)


def pursue(
    config: PursuitConfig, matrix: EmbeddingMatrix, table: FrequencyTable, context: Context
) -> TrialResult:
    """Learn a dictionary for the matrix, code every token, measure."""
    from trials.kernels._threads import one_blas_thread
    from trials.pursuit.artifacts import arrays, atom_table, figures
    from trials.pursuit.fit import fit, prepare
    from trials.pursuit.measure import measure, uncertified

    # The compiled solver has threads of its own; one in BLAS makes the numbers independent of how
    # many there are.
    with one_blas_thread():
        data = prepare(config, matrix, table)
        fitted = fit(data, config, context.n_threads)
        metrics = measure(data, fitted)
    return TrialResult(
        metrics=metrics,
        arrays=arrays(data, fitted),
        tables={"atoms": atom_table(data, fitted)},
        figures=figures(data, fitted),
        facts={
            "source": config.source,
            "source_digest": matrix.digest,
            "frequencies": table.name,
            "weights": "distribution weighting: codes do not depend on them",
            "null": config.null,
            "l1_penalty_absolute": f"{fitted.l1_penalty:.6g}",
            **matrix.facts,
        },
        uncertified=uncertified(data, fitted.gap, config.tolerance),
    )


_AT_EQUAL_SPARSITY = "Held-out tokens, one point a trial; dashed: the same learner on a null."

KIND = TrialKind(
    name="pursuit",
    version=1,
    summary="Sparse codes of an embedding matrix over a learned dictionary, with certificates.",
    config=PursuitConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run=run,
    input_digests=input_digests,
    control=Control(
        field="null",
        real="none",
        of="fvu_held_out",
        at="l0_held_out",
        within=(
            "source",
            "n_rows",
            "frequencies",
            "frequency_exponent",
            "centre",
            "scale",
            "n_atoms",
            "nonnegative",
            "split_seed",
        ),
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
            caption="Held-out tokens; at one relative penalty, l0 changes with the size too.",
        ),
        Chart(
            title="Error against description length",
            x="bits_per_token_held_out",
            y="fvu_debiased_held_out",
            colour="n_atoms",
            dash="null",
            caption="Support, coefficients and each token's share of the dictionary.",
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
