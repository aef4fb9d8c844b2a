"""Runs a trial of the kind `self_pursuit`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.api import Context, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.inputs.samples import sample_tokens
from trials.inputs.splits import stratified_sample
from trials.kernels.dictionaries import atom_use, largest_cosines
from trials.pursuit import measure
from trials.pursuit.artifacts import arrays, atom_table, figures
from trials.pursuit.code import Coded, code_rows
from trials.pursuit.learn import median_critical, random_atoms
from trials.pursuit.measure import uncertified
from trials.self_pursuit.kind import CODED, SelfPursuitConfig


class _Dictionary(NamedTuple):
    """Unit rows, and the positions of their tokens (none for random directions)."""

    atoms: np.ndarray
    tokens: np.ndarray


def run(config: SelfPursuitConfig, context: Context) -> TrialResult:
    """Load the rows, draw the dictionary and the tokens to code, code them, measure."""
    everything = load_rows(config, fetch_artifact=context.fetch_artifact)
    # Seeds redraw the tokens too, unless split_seed is set, so intervals over them cover tokens.
    data = sample_tokens(
        everything, config.n_signals, CODED, np.random.default_rng([config.tokens_seed, 1])
    )
    dictionary = _dictionary(everything, config)
    validation = data.rows[data.split.validation]
    critical = median_critical(validation, dictionary.atoms, config.nonnegative, context.n_threads)
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
    metrics = _measure(everything, data, coded, context.n_threads)
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
    """Training rows at unit norm, or as many random directions under the null."""
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


def _measure(
    everything: TokenRows, data: TokenRows, coded: Coded, n_threads: int
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    nearest = largest_cosines(data.rows, coded.atoms)
    for side in CODED:
        tokens = getattr(data.split, side)
        of_side = measure.side_metrics(data, coded, tokens)
        of_side["nearest_cosine"] = float(np.average(nearest[tokens], weights=data.weights[tokens]))
        metrics |= {f"{name}_{side}": value for name, value in of_side.items()}
        metrics[f"n_{side}_tokens"] = float(len(tokens))
    metrics |= measure.error_by_decile(data, coded)
    metrics |= measure.coder_metrics(
        data,
        coded,
        n_threads=n_threads,
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
