"""Runs a trial of the kind `dictionary_match`."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from trials.api import Context, Table, TrialError, TrialResult
from trials.dictionary_match.kind import MATCH_PERCENT, DictionaryMatchConfig
from trials.inputs.controls.null_directions import directions_like
from trials.inputs.dictionaries import load_dictionary
from trials.kernels.dictionaries import Matching, match_dictionaries


def run(config: DictionaryMatchConfig, context: Context) -> TrialResult:
    """Match the two, match pairs of nulls, and compare."""
    first = load_dictionary(config.first, context.fetch_artifact)
    second = load_dictionary(config.second, context.fetch_artifact)
    real = _matched(first, second, config)
    rng = np.random.default_rng(config.seed)
    signed = not config.nonnegative
    like = [directions_like(atoms, rng, signed=signed) for atoms in (first, second)]
    nulls = [
        _matched(like[0].draw(len(first), rng), like[1].draw(len(second), rng), config)
        for _ in range(config.n_nulls)
    ]
    null_cosines = np.stack([_size(null.cosine, config) for null in nulls])
    return TrialResult(
        metrics=_metrics(config, real, nulls),
        arrays={
            "matching": {
                "first": real.first,
                "second": real.second,
                "cosine": real.cosine,
                "null_cosine": null_cosines,
            }
        },
        tables={"best_match": _table(real)},
        figures={"matched_cosines": _figure(_size(real.cosine, config), null_cosines)},
        facts={"first": config.first, "second": config.second},
    )


def _matched(first: np.ndarray, second: np.ndarray, config: DictionaryMatchConfig) -> Matching:
    try:
        return match_dictionaries(first, second, nonnegative=config.nonnegative)
    except ValueError as error:
        raise TrialError(f"first {config.first}, second {config.second}: {error}") from error


def _size(cosine: np.ndarray, config: DictionaryMatchConfig) -> np.ndarray:
    return cosine if config.nonnegative else np.abs(cosine)


def _statistics(config: DictionaryMatchConfig, matching: Matching) -> dict[str, float]:
    of_first = _size(matching.of_first.cosine, config).mean(dtype=np.float64)
    of_second = _size(matching.of_second.cosine, config).mean(dtype=np.float64)
    pairs = _size(matching.cosine, config)
    n_atoms = len(matching.of_first.atom) + len(matching.of_second.atom)
    return {
        "mmcs_first": float(of_first),
        "mmcs_second": float(of_second),
        "mmcs": float(of_first + of_second) / 2,
        "matched_cosine": float(pairs.mean(dtype=np.float64)),
        "shared_frac": 2 * float((pairs > config.shared_cosine).sum()) / n_atoms,
        **{f"matched_frac_{p}": float((pairs > p / 100).mean()) for p in MATCH_PERCENT},
    }


def _metrics(
    config: DictionaryMatchConfig, real: Matching, nulls: list[Matching]
) -> dict[str, float]:
    metrics = _statistics(config, real)
    drawn = [_statistics(config, null) for null in nulls]
    for name, value in tuple(metrics.items()):
        null = np.array([statistics[name] for statistics in drawn])
        mean = float(null.mean())
        metrics |= {
            f"{name}_null": mean,
            f"{name}_null_sd": float(null.std(ddof=1)),
            f"{name}_corrected": (value - mean) / (1 - mean) if mean < 1 else float("nan"),
            f"{name}_p_value": float(1 + (null >= value).sum()) / (1 + len(null)),
        }
    sizes = (len(real.of_first.atom), len(real.of_second.atom))
    return metrics | {"n_atoms_first": float(sizes[0]), "n_atoms_second": float(sizes[1])}


def _table(real: Matching) -> Table:
    """One row per atom: its nearest in the other dictionary, and its partner (-1: none)."""
    partner = [np.full(len(near.atom), -1) for near in (real.of_first, real.of_second)]
    partner[0][real.first], partner[1][real.second] = real.second, real.first
    sides = zip(("first", "second"), (real.of_first, real.of_second), partner, strict=True)
    rows = [
        (side, atom, int(near.atom[atom]), round(float(near.cosine[atom]), 6), int(partner[atom]))
        for side, near, partner in sides
        for atom in range(len(near.atom))
    ]
    columns = ("dictionary", "atom", "nearest", "cosine", "partner")
    return dict(zip(columns, zip(*rows, strict=True), strict=True))


def _figure(real: np.ndarray, null: np.ndarray) -> Figure:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Matched pairs of atoms", xlabel="|cos| of a pair", ylabel="pairs"
    )
    bins = np.linspace(min(0.0, float(real.min()), float(null.min())), 1.0, 51).tolist()
    axes.hist(real, bins=bins, label="the two dictionaries")
    drawn = null.ravel()
    weights = np.full(len(drawn), 1 / len(null))
    axes.hist(drawn, bins=bins, weights=weights, histtype="step", label="null, mean of the draws")
    axes.legend()
    return figure
