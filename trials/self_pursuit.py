"""The kind `self_pursuit`: code rows over other rows of the same matrix.

The rows themselves are the one sparse basis that is known: a token is itself. Leaving it out asks
whether tokens are sparse combinations of other tokens. The dictionary is made of training rows and
only validation and held-out tokens are coded, so that no token meets itself, nor a variant of its
own word: the split puts word families on one side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field

from trials.api import Chart, Comparison, Context, Control, Metric, TrialKind, TrialResult
from trials.inputs.rows import ROWS_FIELDS, RowsConfig, TokenRows, load_rows, rows_digests
from trials.pursuit.metrics import BITS, COHERENCE, ERROR, GAPS, SPARSITY, on_sides

if TYPE_CHECKING:
    from trials.pursuit.code_rows import Coded

_CODED = ("validation", "held_out")


class SelfPursuitConfig(RowsConfig):
    """Some rows coded over others."""

    l1_penalty: float = Field(
        gt=0,
        lt=1,
        description="penalty, relative to the median critical penalty of a token",
        json_schema_extra={"symbol": "λ"},
    )
    n_dictionary_rows: int = Field(
        default=8192,
        ge=1,
        le=16_384,
        description="training rows that make the dictionary, at most, evenly by frequency; memory "
        "grows as the square (16,384 take 4 GB)",
    )
    n_signals: int = Field(
        default=2048, ge=10, description="tokens of a side to code, at most, evenly by frequency"
    )
    nonnegative: bool = Field(default=False, description="allow no negative coefficients")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-2,
        description="largest relative duality gap of a code at which the trial is certified",
    )


class _Dictionary(NamedTuple):
    """Unit rows, and the positions of the tokens that they are (none for random directions)."""

    atoms: np.ndarray
    tokens: np.ndarray


def run(config: SelfPursuitConfig, context: Context) -> TrialResult:
    """Load the rows, draw the dictionary and the tokens to code, code them, measure."""
    from trials.inputs.samples import sample_tokens
    from trials.kernels._threads import one_blas_thread
    from trials.pursuit.artifacts import arrays, atom_table, figures
    from trials.pursuit.code_rows import code_rows
    from trials.pursuit.learn import median_critical
    from trials.pursuit.measure import uncertified

    everything = load_rows(config, fetch_artifact=context.fetch_artifact)
    # The tokens to code do not depend on the seed, so that seeds are replicates on the same tokens.
    data = sample_tokens(
        everything, config.n_signals, _CODED, np.random.default_rng([config.split_seed, 1])
    )
    with one_blas_thread():
        dictionary = _dictionary(everything, config)
        validation = data.rows[data.split.validation]
        critical = median_critical(
            validation, dictionary.atoms, config.nonnegative, context.n_threads
        )
        l1_penalty = config.l1_penalty * critical
        coded = code_rows(
            data,
            dictionary.atoms,
            l1_penalty,
            nonnegative=config.nonnegative,
            tolerance=config.tolerance,
            n_threads=context.n_threads,
            device=context.device,
        )
        metrics = _measure(everything, data, coded)
    table = atom_table(data, coded)
    names = [everything.names[i] for i in dictionary.tokens] or [""] * len(dictionary.atoms)
    return TrialResult(
        metrics=metrics | {"l1_penalty_absolute": l1_penalty},
        arrays=arrays(data, coded)
        | {"dictionary": {"token_id": everything.ids[dictionary.tokens], "offset": data.offset}},
        tables={"rows": {"token": [names[atom] for atom in table["atom"]], **table}},
        figures=figures(data, coded),
        facts=data.facts,
        uncertified=uncertified(data, coded.gap, config.tolerance),
    )


def _dictionary(data: TokenRows, config: SelfPursuitConfig) -> _Dictionary:
    """Training rows at unit length, or as many random directions under that null."""
    from trials.inputs.splits import stratified_sample
    from trials.pursuit.learn import random_atoms

    rng = np.random.default_rng([config.seed, 1])
    train = data.split.train
    n_rows = min(config.n_dictionary_rows, len(train))
    if config.null == "random_dictionary":
        atoms = random_atoms(data.rows[train], data.weights[train], n_rows, rng)
        return _Dictionary(atoms, np.empty(0, dtype=np.int64))
    tokens = train[stratified_sample(data.probabilities[train], n_rows, rng)]
    norms = np.linalg.norm(data.rows[tokens], axis=1, keepdims=True)
    kept = norms[:, 0] > 0
    return _Dictionary(data.rows[tokens[kept]] / norms[kept], tokens[kept])


def _measure(everything: TokenRows, data: TokenRows, coded: Coded) -> dict[str, float]:
    from trials.kernels.dictionary_statistics import atom_use, largest_cosines
    from trials.pursuit import measure

    metrics: dict[str, float] = {}
    nearest = largest_cosines(data.rows, coded.atoms)
    for side in _CODED:
        tokens = getattr(data.split, side)
        found = measure.side_metrics(data, coded, tokens)
        found["nearest_cosine"] = float(np.average(nearest[tokens], weights=data.weights[tokens]))
        metrics |= {f"{name}_{side}": value for name, value in found.items()}
        metrics[f"n_{side}_tokens"] = float(len(tokens))
    metrics |= measure.error_by_decile(data, coded)
    metrics |= measure.description(
        data,
        coded,
        spectrum=measure.training_spectrum(everything),
        n_tokens=len(everything.ids),
    )
    metrics |= measure.coherence_metrics(coded.atoms) | measure.gap_metrics(coded.gap)
    used = atom_use(coded.codes, data.weights).n_tokens > 0
    return metrics | {
        "used_frac": float(used.mean()),
        "n_atoms_resolved": float(len(coded.atoms)),
        "solver_s": coded.solver_s,
    }


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
        "weighted mean of the largest |cos| of a token's row with a row of the dictionary",
        _CODED,
    ),
    *COHERENCE,
    *GAPS,
    Metric("used_frac", "frac", "none", "rows of the dictionary that a coded token uses / rows"),
    Metric("n_atoms_resolved", "atoms", "none", "rows of the dictionary"),
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
    version=6,
    summary="Sparse codes of rows over other rows of the same matrix, with certificates.",
    config=SelfPursuitConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run=run,
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("fvu_held_out", at="l0_held_out"),
            Comparison("code_bits_held_out", at="fvu_rounded_held_out", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_dictionary_rows", "nonnegative"),
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
