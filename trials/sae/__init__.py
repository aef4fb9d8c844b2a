"""The kind `sae`: a sparse autoencoder, and what a solver makes of the same tokens beside it.

Three errors at one sparsity: the autoencoder's, that of exact codes on its decoder, and that of a
dictionary learned by full pursuit. The first two differ by what the encoder costs, the last two by
what the dictionary does. Tokens are drawn for training in proportion to
`p_i^frequency_exponent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trials.api import Chart, Comparison, Context, Control, TrialKind, TrialResult
from trials.inputs.rows import ROWS_FIELDS, TokenRows, load_rows, rows_digests
from trials.sae.config import SaeConfig
from trials.sae.metrics import CERTIFIED, METRICS

if TYPE_CHECKING:
    from trials.kernels.dictionaries import Autoencoder
    from trials.sae.solutions import Solution

_DENSEST = 0.5
"""Mean atoms a token, as a share of d_model, above which no sparse code is worth looking for."""


def run(config: SaeConfig, context: Context) -> TrialResult:
    """Load the rows, then `compare`."""
    return compare(config, load_rows(config, fetch_artifact=context.fetch_artifact), context)


def compare(config: SaeConfig, data: TokenRows, context: Context) -> TrialResult:
    """Train an autoencoder, code the tokens in all ways at its sparsity, measure."""
    from trials.kernels.threads import one_blas_thread
    from trials.pursuit.artifacts import atom_table
    from trials.sae.artifacts import arrays, figures, training_curve
    from trials.sae.measure import measure
    from trials.sae.train import forget, train

    trained = train(data, config, context)
    with one_blas_thread():
        solutions = _solutions(config, data, trained.autoencoder, context)
        metrics = measure(data, trained, solutions)
    result = TrialResult(
        metrics=metrics,
        arrays=arrays(data, trained, solutions),
        tables={
            "atoms": atom_table(data, solutions["sae"].coded),
            "training_curve": training_curve(trained),
        },
        figures=figures(trained, metrics),
        facts=data.facts
        | {f"l1_penalty_{name}": f"{metrics[f'l1_penalty_{name}']:.6g}" for name in CERTIFIED},
        uncertified=_uncertified(config, data, metrics, solutions),
    )
    forget(context.checkpoint_dir)
    return result


def _solutions(
    config: SaeConfig, data: TokenRows, autoencoder: Autoencoder, context: Context
) -> dict[str, Solution]:
    from trials.sae.solutions import encoded, exact, greedy, pursued, sparsities

    sae = encoded(data, autoencoder, context)
    l0 = sparsities(sae)
    if max(l0.values()) > _DENSEST * data.rows.shape[1]:
        return {"sae": sae}
    on_decoder = exact(sae, config, context)
    return {
        "sae": sae,
        "exact": on_decoder,
        "omp": greedy(sae, context),
        "pursuit": pursued(data, l0, on_decoder.l1_penalty, config, context),
    }


def _uncertified(
    config: SaeConfig,
    data: TokenRows,
    metrics: Mapping[str, float],
    solutions: Mapping[str, Solution],
) -> str:
    from trials.pursuit.measure import uncertified

    if "exact" not in solutions:
        return (
            f"the encoder uses {metrics['l0_sae_train']:.0f} atoms a token, more than half of "
            f"d_model {data.rows.shape[1]}: no sparse code to compare with"
        )
    lines = {
        name: uncertified(data, solutions[name].coded.gap, config.tolerance) for name in CERTIFIED
    }
    return "; ".join(f"{name}: {line}" for name, line in lines.items() if line)


KIND = TrialKind(
    name="sae",
    version=6,
    summary="A sparse autoencoder beside exact codes on its decoder and beside full pursuit.",
    config=SaeConfig,
    metrics=METRICS,
    # Bits weigh error against sparsity, so that neither more atoms a token nor more atoms win by
    # themselves; it is also the objective of pursuit.
    objective="excess_bits_sae_validation",
    run=run,
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("fvu_sae_held_out", at="l0_sae_held_out"),
            Comparison("fvu_debiased_exact_held_out", at="l0_exact_held_out"),
            Comparison("fvu_debiased_pursuit_held_out", at="l0_pursuit_held_out"),
            Comparison(
                "bits_per_token_sae_held_out",
                at="fvu_rounded_sae_held_out",
                shown="difference",
            ),
        ),
        within=(*ROWS_FIELDS, "architecture", "n_atoms", "nonnegative"),
    ),
    reports=("fvu_sae_validation", "l0_sae_validation"),
    charts=(
        Chart(
            title="The autoencoder's error against sparsity",
            x="l0_sae_held_out",
            y="fvu_sae_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Held-out tokens, one point a trial; dashed: the same learner on a null.",
        ),
        Chart(
            title="Error of exact codes on the autoencoder's decoder",
            x="l0_exact_held_out",
            y="fvu_debiased_exact_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Certified LASSO codes with as many atoms a token, least squares on the "
            "supports.",
        ),
        Chart(
            title="Error of full pursuit",
            x="l0_pursuit_held_out",
            y="fvu_debiased_pursuit_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="A dictionary of as many atoms, learned and coded at the autoencoder's "
            "sparsity.",
        ),
        Chart(
            title="What the encoder costs",
            x="l0_sae_held_out",
            y="amortisation_gap_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Error of the encoder's codes minus that of exact codes on the same decoder.",
        ),
    ),
)
