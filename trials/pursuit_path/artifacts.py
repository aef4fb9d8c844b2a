"""What a trial of the kind `pursuit_path` leaves besides its metrics: its curves."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trials.api import Table
from trials.pursuit_path.progress import Point


def path_table(points: Sequence[Point]) -> Table:
    """One row a penalty: every metric of the kind `pursuit` at that penalty."""
    return {name: [point[name] for point in points] for name in points[0]}


def figures(points: Sequence[Point]) -> dict[str, Figure]:
    """Error against bits beside the bound of a Gaussian, and error against sparsity."""

    def column(name: str) -> list[float]:
        return [point[name] for point in points]

    def draw(title: str, x: str, y: str) -> tuple[Figure, Axes]:
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        return figure, figure.add_subplot(title=title, xlabel=x, ylabel=y)

    frontier, axes = draw("Error against bits, held-out tokens", "bits a token", "FVU, as sent")
    error = column("fvu_rounded_held_out")
    axes.plot(column("code_bits_held_out"), error, "o-", label="codes")
    axes.plot(column("gaussian_bits_held_out"), error, "--", label="bound, Gaussian rows")
    axes.legend()
    sparsity, axes = draw("Error against sparsity", "atoms a token (l0)", "FVU")
    for side in ("train", "validation", "held_out"):
        axes.plot(column(f"l0_{side}"), column(f"fvu_{side}"), "o-", label=side.replace("_", "-"))
    if max(column("l0_held_out")) > 0:
        axes.set_xscale("symlog", linthresh=1)
    axes.legend()
    return {"frontier": frontier, "error_by_l0": sparsity}
