"""The kind `dictionary_match`: do two dictionaries hold the same atoms?

Dictionaries of one matrix look alike even where they share no feature, since both follow its
spectrum. So each statistic stands beside the one of dictionaries without features: random unit
directions with the second moments of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from trials.api import Chart, Config, Context, Metric, Table, TrialError, TrialKind, TrialResult
from trials.inputs.dictionaries import check_reference, dictionary_digest, load_dictionary
from trials.inputs.null_directions import directions_like

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trials.kernels.dictionaries import Matching


class DictionaryMatchConfig(Config):
    """Two dictionaries, by reference."""

    first: str = Field(
        description="a dictionary: run:RUN_ID, run:RUN_ID/ARTIFACT#TENSOR, file:PATH.npy or "
        "file:PATH.safetensors#TENSOR"
    )
    second: str = Field(description="the dictionary to hold it against, named in the same way")
    nonnegative: bool = Field(
        default=False, description="an atom and its opposite are two features: cos for |cos|"
    )
    shared_cosine: float = Field(
        default=0.7, gt=0, lt=1, description="a matched pair of atoms above this |cos| is shared"
    )
    n_nulls: int = Field(
        default=20, ge=2, le=1000, description="pairs of null dictionaries that are drawn"
    )

    @field_validator("first", "second")
    @classmethod
    def _names_a_dictionary(cls, text: str) -> str:
        return check_reference(text)


def run(config: DictionaryMatchConfig, context: Context) -> TrialResult:
    """Match the two, then as many pairs of nulls, and set one beside the other."""
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
    from trials.kernels.dictionaries import match_dictionaries

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
        **{f"matched_frac_{p}": float((pairs > p / 100).mean()) for p in _PERCENT},
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
    """One row an atom: the nearest in the other dictionary, and its partner (-1: none)."""
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
    from matplotlib.figure import Figure

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


_PERCENT = (70, 90, 99)

_STATISTICS = (
    (
        "mmcs_first",
        "",
        "mean over the atoms of the first dictionary of the largest |cos| with an atom of the "
        "second",
    ),
    ("mmcs_second", "", "as mmcs_first, with first and second exchanged"),
    ("mmcs", "", "mean of mmcs_first and mmcs_second"),
    (
        "matched_cosine",
        "",
        "mean |cos| of the pairs of the one-to-one matching with the largest sum of |cos|; as many "
        "pairs as the smaller dictionary has atoms",
    ),
    (
        "shared_frac",
        "frac",
        "2 x matched pairs with |cos| above shared_cosine / atoms of both dictionaries",
    ),
    *(
        (f"matched_frac_{p}", "frac", f"matched pairs with |cos| above {p / 100:.2f} / pairs")
        for p in _PERCENT
    ),
)


def _declared(name: str, unit: str, definition: str) -> tuple[Metric, ...]:
    signs = "; with nonnegative, cos stands for |cos|"
    return (
        Metric(name, unit, "maximise", definition + signs),
        Metric(
            f"{name}_null",
            unit,
            "none",
            f"mean of {name} over n_nulls pairs of null dictionaries: Gaussian draws, scaled to "
            "unit length, with the second moments of the two (with nonnegative, the means too)",
        ),
        Metric(f"{name}_null_sd", unit, "none", f"standard deviation of {name} over these pairs"),
        Metric(
            f"{name}_corrected",
            "",
            "maximise",
            f"({name} - {name}_null) / (1 - {name}_null): 0 as alike as directions without "
            "features, 1 the same atoms",
        ),
        Metric(
            f"{name}_p_value",
            "",
            "minimise",
            f"(1 + pairs of nulls with {name} as large or larger) / (1 + n_nulls)",
        ),
    )


KIND = TrialKind(
    name="dictionary_match",
    version=1,
    summary="Atoms that two dictionaries share, beside dictionaries without features.",
    config=DictionaryMatchConfig,
    metrics=(
        *(metric for statistic in _STATISTICS for metric in _declared(*statistic)),
        Metric("n_atoms_first", "atoms", "none", "rows of the first dictionary"),
        Metric("n_atoms_second", "atoms", "none", "rows of the second dictionary"),
    ),
    objective="mmcs_corrected",
    run=run,
    input_digests=lambda config: {
        "first": dictionary_digest(config.first),
        "second": dictionary_digest(config.second),
    },
    charts=(
        Chart(
            title="Agreement beyond chance",
            x="n_atoms_second",
            y="mmcs_corrected",
            colour="first",
            log_x=True,
            caption="0: as alike as random directions of the same spectrum; 1: the same atoms.",
        ),
        Chart(
            title="Agreement beside its null",
            x="mmcs_null",
            y="mmcs",
            colour="first",
            caption="Mean largest |cos|, real over that of dictionaries without features.",
        ),
    ),
)
