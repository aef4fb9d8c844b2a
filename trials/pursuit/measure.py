"""The metrics of the kind `pursuit`, from a fitted dictionary."""

from __future__ import annotations

import numpy as np

from trials.inputs.frequencies import effective_sample_size
from trials.inputs.splits import frequency_deciles
from trials.kernels import description_length as bits
from trials.kernels.dictionary_statistics import (
    COPY_COSINE,
    RARE_TOKENS,
    atom_use,
    coherences,
    largest_cosines,
)
from trials.kernels.reconstruction import TokenErrors, fvu, fvu_by_group, nmse, weighted_mean
from trials.pursuit.fit import Data, Fitted


def measure(data: Data, fitted: Fitted) -> dict[str, float]:
    """Every declared metric."""
    metrics: dict[str, float] = {}
    for side, tokens in data.split._asdict().items():
        metrics |= {f"{name}_{side}": v for name, v in _side(data, fitted, tokens).items()}
    metrics |= error_by_decile(data, fitted)
    metrics |= _description(data, fitted)
    metrics |= _dictionary(data, fitted)
    metrics["memorises"] = memorises(
        metrics["fvu_debiased_unweighted_train"],
        metrics["fvu_debiased_unweighted_validation"],
        metrics["memorised_frac"],
    )
    return metrics | _run(data, fitted)


def memorises(fvu_train: float, fvu_validation: float, memorised_frac: float) -> float:
    """1.0 if the dictionary remembers its tokens, else 0.0.

    Shared features serve tokens that were never seen as well as those that were. The floor keeps a
    dictionary that is nearly perfect on both sides from being called a memory.
    """
    overfits = fvu_validation > 0.01 and fvu_train < fvu_validation / 4
    return float(overfits or memorised_frac > 0.5)


def uncertified(data: Data, gap: np.ndarray, tolerance: float) -> str:
    """Which gap exceeds the tolerance; "" if none does."""
    n_over = int((~(gap <= tolerance)).sum())
    if n_over == 0:
        return ""
    worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
    return (
        f"duality gap {gap[worst]:.1e} of token {data.names[worst]!r} exceeds the tolerance "
        f"{tolerance:g} ({n_over} of {len(gap)} tokens do)"
    )


def _side(data: Data, fitted: Fitted, tokens: np.ndarray) -> dict[str, float]:
    weights, equal = data.weights[tokens], np.ones(len(tokens))
    errors, debiased = _of(fitted.errors, tokens), _of(fitted.debiased_errors, tokens)
    l0, l1, participation = (values[tokens] for values in fitted.sizes)
    return {
        "fvu": fvu(errors, weights),
        "fvu_debiased": fvu(debiased, weights),
        "fvu_unweighted": fvu(errors, equal),
        "fvu_debiased_unweighted": fvu(debiased, equal),
        "nmse": nmse(errors, weights),
        "cosine": weighted_mean(errors.cosine, weights),
        "l0": weighted_mean(l0, weights),
        "l1": weighted_mean(l1, weights),
        "l0_participation": weighted_mean(participation, weights),
    }


def error_by_decile(data: Data, fitted: Fitted) -> dict[str, float]:
    """FVU within each tenth of the held-out tokens by falling frequency, by metric name."""
    tokens = data.split.held_out
    deciles = frequency_deciles(data.probabilities[tokens])
    values = fvu_by_group(_of(fitted.errors, tokens), data.weights[tokens], deciles, n_groups=10)
    return {f"fvu_held_out_decile_{i}": float(value) for i, value in enumerate(values)}


def _description(data: Data, fitted: Fitted) -> dict[str, float]:
    """Bits a token; steps are chosen on validation tokens and used unchanged on held-out ones."""
    train, validation = data.split.train, data.split.validation
    eigenvalues = bits.covariance_eigenvalues(data.rows[train], data.mean, data.weights[train])
    chosen_on = (
        data.rows[validation],
        fitted.debiased[validation],
        fitted.atoms,
        data.mean,
        data.weights[validation],
    )
    step = bits.coefficient_step(*chosen_on)
    atom_bits = bits.atom_bits(*chosen_on)
    dictionary_bits = fitted.atoms.size * atom_bits / len(data.ids)
    metrics = {"atom_bits": atom_bits, "dictionary_bits": dictionary_bits}
    for side in ("held_out", "validation"):
        tokens = getattr(data.split, side)
        weights = data.weights[tokens]
        sent = bits.quantise(
            data.rows[tokens], fitted.debiased[tokens], fitted.atoms, data.mean, weights, step=step
        )
        code_bits = weighted_mean(sent.token_bits, weights)
        gaussian_bits = bits.gaussian_rate_bits(eigenvalues, sent.fvu)
        metrics |= {
            f"bits_per_token_{side}": code_bits + dictionary_bits,
            f"gaussian_bits_{side}": gaussian_bits,
            f"excess_bits_{side}": code_bits - gaussian_bits,
            "coefficient_bits": sent.coefficient_bits,
        }
    return metrics


def _dictionary(data: Data, fitted: Fitted) -> dict[str, float]:
    train = data.split.train
    n_tokens = atom_use(fitted.codes[train], data.weights[train]).n_tokens
    rare = (n_tokens > 0) & (n_tokens < RARE_TOKENS)
    copies = largest_cosines(fitted.atoms, data.rows[train]) > COPY_COSINE
    coherence = coherences(fitted.atoms)
    p50, p90, p99 = np.quantile(coherence, [0.5, 0.9, 0.99])
    return {
        "dead_frac": float((n_tokens == 0).mean()),
        "rare_frac": float(rare.mean()),
        "token_copy_frac": float(copies.mean()),
        "memorised_frac": float((copies & rare).mean()),
        "mutual_coherence": float(coherence.max()),
        "mutual_coherence_p99": float(p99),
        "mutual_coherence_p90": float(p90),
        "mutual_coherence_p50": float(p50),
    }


def _run(data: Data, fitted: Fitted) -> dict[str, float]:
    return {
        "gap_max": float(fitted.gap.max()),
        "gap_p99": float(np.quantile(fitted.gap, 0.99)),
        "gap_median": float(np.median(fitted.gap)),
        "l1_penalty_absolute": fitted.l1_penalty,
        "l1_penalty_reached": fitted.l1_penalty_reached,
        "effective_sample_size": effective_sample_size(data.weights[data.split.train]),
        "n_train_tokens": float(len(data.split.train)),
        "n_validation_tokens": float(len(data.split.validation)),
        "n_held_out_tokens": float(len(data.split.held_out)),
        "n_atoms_resolved": float(len(fitted.atoms)),
        "learning_passes": float(fitted.n_passes),
        "learning_converged": float(fitted.converged),
        "solver_s": fitted.solver_s,
        "learning_s": fitted.learning_s,
    }


def _of(errors: TokenErrors, tokens: np.ndarray) -> TokenErrors:
    return TokenErrors(*(values[tokens] for values in errors))
