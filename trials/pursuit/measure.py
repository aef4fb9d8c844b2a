"""The metrics of a dictionary and its codes, for the kind `pursuit` and those that build on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import csr_array

from trials.inputs.frequencies import effective_sample_size
from trials.inputs.rows import TokenRows
from trials.inputs.splits import frequency_deciles
from trials.kernels import sparse_coding as bits
from trials.kernels.dictionaries import (
    COPY_COSINE,
    RARE_TOKENS,
    atom_use,
    coherences,
    largest_cosines,
)
from trials.kernels.sparse_coding import TokenErrors, fvu, fvu_by_group, nmse, weighted_mean
from trials.pursuit.code import Coded, greedy_codes
from trials.pursuit.learn import Learned
from trials.pursuit.metrics import OF_EACH_CODER
from trials.pursuit.sides import CODED


def measure(
    data: TokenRows,
    learned: Learned,
    coded: Coded,
    *,
    n_threads: int,
    device: str = "cpu",
    spectrum: bits.GaussianModel | None = None,
) -> dict[str, float]:
    """Every metric of the kind `pursuit`. Pass `spectrum` if `training_spectrum` is known."""
    spectrum = spectrum or training_spectrum(data)
    metrics: dict[str, float] = {}
    for side, tokens in data.split._asdict().items():
        of_side = side_metrics(data, coded, tokens)
        metrics |= {f"{name}_{side}": value for name, value in of_side.items()}
    metrics |= error_by_decile(data, coded)
    metrics |= coder_metrics(data, coded, n_threads=n_threads, device=device, spectrum=spectrum)
    metrics |= dictionary_metrics(data, coded, device)
    metrics["memorises"] = memorises(
        metrics["fvu_debiased_unweighted_train"],
        metrics["fvu_debiased_unweighted_validation"],
        metrics["memorised_frac"],
    )
    return metrics | gap_metrics(coded.gap) | row_counts(data) | _run(learned, coded)


def memorises(fvu_train: float, fvu_validation: float, memorised_frac: float) -> float:
    """1.0 if the dictionary memorises its training tokens, else 0.0.

    Shared features serve unseen tokens as well as training tokens. The floor on the validation
    error excludes dictionaries that are nearly perfect on both sides.
    """
    overfits = fvu_validation > 0.01 and fvu_train < fvu_validation / 4
    return float(overfits or memorised_frac > 0.5)


def uncertified(data: TokenRows, gap: np.ndarray, tolerance: float) -> str:
    """A message about the largest gap if it exceeds the tolerance, else ""."""
    n_over = int((~(gap <= tolerance)).sum())
    if n_over == 0:
        return ""
    worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
    return (
        f"duality gap {gap[worst]:.1e} of token {data.names[worst]!r} exceeds the tolerance "
        f"{tolerance:g} ({n_over} of {len(gap)} tokens do)"
    )


def side_metrics(data: TokenRows, coded: Coded, tokens: np.ndarray) -> dict[str, float]:
    """Error and sparsity over some tokens, by metric name without the side."""
    weights, equal = data.weights[tokens], np.ones(len(tokens))
    errors, debiased = _of(coded.errors, tokens), _of(coded.debiased_errors, tokens)
    l0, l1, participation = (values[tokens] for values in coded.sizes)
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


def error_by_decile(data: TokenRows, coded: Coded) -> dict[str, float]:
    """FVU per frequency decile of the held-out tokens, by metric name."""
    tokens = data.split.held_out
    deciles = frequency_deciles(data.probabilities[tokens])
    values = fvu_by_group(_of(coded.errors, tokens), data.weights[tokens], deciles, n_groups=10)
    return {f"fvu_held_out_decile_{i}": float(value) for i, value in enumerate(values)}


def training_spectrum(data: TokenRows) -> bits.GaussianModel:
    """The Gaussian model of the training rows: spectrum and length of its eigenvectors."""
    train = data.split.train
    return bits.gaussian_model(data.rows, data.mean, data.weights[train], tokens=train)


def description(
    data: TokenRows,
    atoms: np.ndarray,
    codes: Mapping[str, csr_array],
    *,
    spectrum: bits.GaussianModel,
    n_tokens: int = 0,
) -> dict[str, float]:
    """Bits per token of the codes of each side (`CODED`), least squares on their supports.

    Steps are chosen on validation tokens and applied to held-out tokens. Pass `n_tokens` of all
    tokens if `data` is a sample of them.
    """
    n_tokens = n_tokens or len(data.ids)
    about = {side: (data.mean, data.weights[getattr(data.split, side)]) for side in CODED}
    rows = {side: data.rows[getattr(data.split, side)] for side in CODED}
    step = bits.coefficient_step(
        rows["validation"], codes["validation"], atoms, *about["validation"]
    )
    sent = {side: bits.rounded(codes[side], step) for side in CODED}
    atom_step = bits.best_atom_step(
        rows["validation"],
        sent["validation"],
        atoms,
        *about["validation"],
        model=spectrum,
        n_tokens=n_tokens,
    )
    metrics: dict[str, float] = {}
    for side in ("held_out", "validation"):
        quantised = bits.quantise(rows[side], codes[side], atoms, *about[side], step=step)
        whole = bits.whole_length(
            rows[side],
            sent[side],
            atoms,
            *about[side],
            model=spectrum,
            n_tokens=n_tokens,
            atom_step=atom_step,
        )
        code_bits = weighted_mean(quantised.token_bits, about[side][1])
        gaussian_bits = bits.gaussian_rate_bits(spectrum.eigenvalues, quantised.fvu)
        metrics |= {
            f"bits_per_token_{side}": code_bits + whole.dictionary_bits,
            f"code_bits_{side}": code_bits,
            f"fvu_rounded_{side}": quantised.fvu,
            f"gaussian_bits_{side}": gaussian_bits,
            f"excess_bits_{side}": code_bits - gaussian_bits,
            f"net_bits_{side}": code_bits + whole.dictionary_bits - whole.gaussian_bits,
            "coefficient_bits": quantised.coefficient_bits,
            "atom_bits": whole.atom_bits,
            "dictionary_bits": whole.dictionary_bits,
        }
    return metrics


def pays_for_itself(*net_bits: float) -> str:
    """Whether a dictionary pays for itself, from `net_bits` of each coder: the best counts."""
    best = min(net_bits)
    verdict = "pays for itself" if best < 0 else "does not pay for itself"
    return (
        f"{verdict}: codes and atoms take {abs(best):.3g} bits per token "
        f"{'fewer' if best < 0 else 'more'} than a Gaussian code with its eigenbasis at equal error"
    )


def debiased_of(data: TokenRows, coded: Coded) -> dict[str, csr_array]:
    """The least squares codes of each side that `description` measures."""
    return {side: coded.debiased[getattr(data.split, side)] for side in CODED}


def coder_metrics(
    data: TokenRows,
    coded: Coded,
    *,
    n_threads: int,
    spectrum: bits.GaussianModel,
    n_tokens: int = 0,
    device: str = "cpu",
) -> dict[str, float]:
    """Bits of the LASSO's supports with least squares; error, sparsity and bits of greedy codes."""
    metrics = description(
        data, coded.atoms, debiased_of(data, coded), spectrum=spectrum, n_tokens=n_tokens
    )
    greedy = {
        side: greedy_codes(data, coded, getattr(data.split, side), n_threads, device)
        for side in CODED
    }
    sent = description(
        data,
        coded.atoms,
        {side: found.codes for side, found in greedy.items()},
        spectrum=spectrum,
        n_tokens=n_tokens,
    )
    for side, found in greedy.items():
        weights = data.weights[getattr(data.split, side)]
        n_used = np.diff(found.codes.indptr).astype(np.float64)
        metrics |= {
            f"fvu_omp_{side}": fvu(found.errors, weights),
            f"l0_omp_{side}": weighted_mean(n_used, weights),
            **{f"{name}_omp_{side}": sent[f"{name}_{side}"] for name in OF_EACH_CODER},
        }
    return metrics


def dictionary_metrics(data: TokenRows, coded: Coded, device: str = "cpu") -> dict[str, float]:
    """Use of the atoms by training tokens, copies of rows, coherence."""
    train = data.split.train
    n_tokens = atom_use(coded.codes[train], data.weights[train]).n_tokens
    rare = (n_tokens > 0) & (n_tokens < RARE_TOKENS)
    copies = largest_cosines(coded.atoms, data.rows[train], device=device) > COPY_COSINE
    return {
        "dead_frac": float((n_tokens == 0).mean()),
        "rare_frac": float(rare.mean()),
        "token_copy_frac": float(copies.mean()),
        "memorised_frac": float((copies & rare).mean()),
        **coherence_metrics(coded.atoms),
    }


def coherence_metrics(atoms: np.ndarray) -> dict[str, float]:
    """Quantiles over atoms of the largest |cosine| with another atom."""
    coherence = coherences(atoms)
    p50, p90, p99 = np.quantile(coherence, [0.5, 0.9, 0.99])
    return {
        "mutual_coherence": float(coherence.max()),
        "mutual_coherence_p99": float(p99),
        "mutual_coherence_p90": float(p90),
        "mutual_coherence_p50": float(p50),
    }


def gap_metrics(gap: np.ndarray) -> dict[str, float]:
    """Largest, 99th percentile and median relative duality gap."""
    return {
        "gap_max": float(gap.max()),
        "gap_p99": float(np.quantile(gap, 0.99)),
        "gap_median": float(np.median(gap)),
    }


def dictionary_quality(data: TokenRows, coded: Coded) -> dict[str, float]:
    """The metrics `DICTIONARY_QUALITY`."""
    of_side = side_metrics(data, coded, data.split.validation)
    return {
        "fvu_debiased_validation": of_side["fvu_debiased"],
        "l0_validation": of_side["l0"],
        "gap_max": float(coded.gap.max()),
    }


def row_counts(data: TokenRows) -> dict[str, float]:
    """Tokens per side, and the effective sample size of the weighted training tokens."""
    return {
        "effective_sample_size": effective_sample_size(data.weights[data.split.train]),
        "n_train_tokens": float(len(data.split.train)),
        "n_validation_tokens": float(len(data.split.validation)),
        "n_held_out_tokens": float(len(data.split.held_out)),
    }


def _run(learned: Learned, coded: Coded) -> dict[str, float]:
    return {
        "l1_penalty_absolute": learned.l1_penalty,
        "l1_penalty_reached": learned.l1_penalty_reached,
        "n_atoms_resolved": float(len(learned.atoms)),
        "learning_passes": float(learned.n_passes),
        "learning_converged": float(learned.converged),
        "solver_s": coded.solver_s,
        "learning_s": learned.learning_s,
    }


def _of(errors: TokenErrors, tokens: np.ndarray) -> TokenErrors:
    return TokenErrors(*(values[tokens] for values in errors))
