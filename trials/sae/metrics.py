"""The metrics of the kind `sae`, each with its exact definition.

Names read `what_solution_side`. The solutions are `sae` (the encoder's own codes), `exact` (LASSO
codes on its decoder), `omp` (matching pursuit on its decoder) and `pursuit` (LASSO codes over a
dictionary learned for them), all with as many atoms per token, on each side, as `sae`.
"""

from __future__ import annotations

from trials.api import Direction, Metric
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS
from trials.pursuit.metrics import of_pursuit
from trials.pursuit.sides import SIDES, on_sides

_SOLUTIONS = {
    "sae": "codes of the encoder",
    "exact": "LASSO codes on the decoder's atoms, at the penalty that gives each side as many "
    "atoms per token as the encoder",
    "omp": "signed codes on the decoder's atoms by orthogonal matching pursuit, on each side with "
    "as many atoms per token as the encoder, where they lower the error most",
    "pursuit": "LASSO codes over a dictionary with as many atoms, learned and coded at the "
    "penalty that gives each side as many atoms per token as the encoder",
}

_TITLES = {
    "sae": "encoder",
    "exact": "LASSO on the decoder",
    "omp": "greedy codes on the decoder",
    "pursuit": "full pursuit",
}
CODED = tuple(_SOLUTIONS)
DICTIONARIES = ("sae", "pursuit")
"""Solutions that have their own dictionary."""
CERTIFIED = ("exact", "pursuit")
"""Solutions whose codes have a duality gap."""
_SENT = ("bits_per_token", "excess_bits", "fvu_rounded")
BITS = tuple((name, side) for name in _SENT for side in ("validation", "held_out"))


def measured(solution: str) -> tuple[str, ...]:
    """The metrics on each side. Coefficients of `omp` are least squares already."""
    return ("fvu", *(() if solution == "omp" else ("fvu_debiased",)), "cosine", "l0", "l1")


_LIKE_PURSUIT = {metric.name: metric for metric in PURSUIT_METRICS}


def _like_pursuit(name: str, solution: str, side: str = "") -> Metric:
    """A metric of the kind `pursuit`, of one solution."""
    like = _LIKE_PURSUIT[f"{name}_{side}" if side else name]
    definition = like.definition.replace("the l1-penalised codes", "the codes")
    return Metric(
        "_".join(part for part in (name, solution, side) if part),
        like.unit,
        like.direction,
        f"{definition} [{_SOLUTIONS[solution]}]",
        held_out=like.held_out,
        title=f"{like.title}, {_TITLES[solution]}" if like.title else "",
    )


def _of(solution: str) -> list[Metric]:
    metrics = [_like_pursuit(name, solution, side) for name in measured(solution) for side in SIDES]
    metrics += [_like_pursuit(name, solution, side) for name, side in BITS]
    if solution in DICTIONARIES:
        metrics += [_like_pursuit(name, solution) for name in _DICTIONARY]
    if solution in CERTIFIED:
        metrics += [_like_pursuit(f"gap_{which}", solution) for which in ("max", "p99", "median")]
        metrics.append(
            Metric(f"l1_penalty_{solution}", "", "none", "absolute penalty of the training tokens")
        )
    seconds = "wall time of coding all tokens, without the search for a penalty"
    return [*metrics, Metric(f"coding_s_{solution}", "s", "minimise", seconds, timing=True)]


_DICTIONARY = (
    "dead_frac",
    "rare_frac",
    "token_copy_frac",
    "memorised_frac",
    "memorises",
    "mutual_coherence",
    "mutual_coherence_p99",
    "mutual_coherence_p90",
    "mutual_coherence_p50",
)

_GAPS: dict[str, tuple[Direction, str, str]] = {
    "amortisation_gap": (
        "minimise",
        "fvu_sae minus fvu_debiased_exact: the error due to the encoder, not the dictionary",
        "error due to the encoder (FVU)",
    ),
    "amortisation_gap_omp": (
        "minimise",
        "fvu_sae minus fvu_omp: the same against greedy codes, signed",
        "error due to the encoder vs. greedy codes (FVU)",
    ),
    "dictionary_gap": (
        "none",
        "fvu_debiased_exact minus fvu_debiased_pursuit: the error due to the dictionary; "
        "amortisation_gap and dictionary_gap add up to fvu_sae minus fvu_debiased_pursuit",
        "error due to the dictionary (FVU)",
    ),
}

METRICS = (
    *(metric for solution in CODED for metric in _of(solution)),
    *(
        metric
        for name, (direction, text, title) in _GAPS.items()
        for metric in on_sides(name, "frac", direction, text, title=title)
    ),
    Metric(
        "mmcs_sae_pursuit",
        "",
        "none",
        "mean over the atoms of pursuit of the largest |cos| with an atom of the decoder",
    ),
    *of_pursuit(
        "effective_sample_size",
        "n_train_tokens",
        "n_validation_tokens",
        "n_held_out_tokens",
        "n_atoms_resolved",
    ),
    Metric(
        "fvu_batches",
        "frac",
        "minimise",
        "mean over the last twentieth of the steps of the batch's mean squared error over the "
        "variance of the training rows",
    ),
    Metric(
        "training_s", "s", "minimise", "wall time of training, validation included", timing=True
    ),
)
