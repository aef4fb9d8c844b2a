"""The sides of the rows, and the metrics that are measured on each of them."""

from __future__ import annotations

from trials.api import Direction, Metric

SIDES = ("train", "validation", "held_out")
CODED = ("validation", "held_out")
"""The sides whose tokens greedy codes and bits are computed for."""

SIDE_NAMES = dict(
    zip(SIDES, ("training tokens", "validation tokens", "held-out tokens"), strict=True)
)
SIDE_TITLES = {"train": "training", "validation": "validation", "held_out": "held-out"}

TITLES = {
    "fvu": "error (FVU)",
    "fvu_debiased": "error (FVU, debiased)",
    "fvu_omp": "error (FVU, greedy codes)",
    "fvu_unweighted": "error (FVU, unweighted)",
    "fvu_debiased_unweighted": "error (FVU, debiased, unweighted)",
    "fvu_rounded": "error (FVU, rounded codes)",
    "nmse": "mean error of a token (NMSE)",
    "cosine": "cosine of row and reconstruction",
    "l0": "atoms per token (L0)",
    "l0_omp": "atoms per token (L0, greedy codes)",
    "l0_participation": "atoms per token (participation ratio)",
    "l1": "L1 norm of the codes",
    "bits_per_token": "bits per token",
    "code_bits": "bits per token, without the dictionary",
    "gaussian_bits": "bits of a Gaussian code",
    "excess_bits": "bits beyond a Gaussian code",
    "net_bits": "bits beyond a Gaussian code, both with their dictionary",
}
"""By name without the side."""


def side_title(name: str, side: str, title: str = "") -> str:
    """`held-out error (FVU)`: the title of a metric on one side; "" where none is known."""
    known = title or TITLES.get(name, "")
    return f"{SIDE_TITLES[side]} {known}" if known else ""


def on_sides(
    name: str,
    unit: str,
    direction: Direction,
    definition: str,
    sides: tuple[str, ...] = SIDES,
    *,
    title: str = "",
) -> list[Metric]:
    """One metric per side, named `name_side`, with the title `side title`."""
    return [
        Metric(
            f"{name}_{side}",
            unit,
            direction,
            f"{definition}; over the {SIDE_NAMES[side]}",
            held_out=side == "held_out",
            title=side_title(name, side, title),
        )
        for side in sides
    ]
