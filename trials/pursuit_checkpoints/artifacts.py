"""What a trial of the kind `pursuit_checkpoints` leaves besides its metrics: its curve."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from trials.pursuit_path.progress import Point


def figures(points: Sequence[Point]) -> dict[str, Figure]:
    """Held-out error over training, beside the change of the rows and the cold starts."""
    steps = [point["training_step"] for point in points]
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Error over training, held-out tokens", xlabel="training step", ylabel="FVU"
    )
    for name, label in (
        ("fvu_held_out", "penalised codes"),
        ("fvu_debiased_held_out", "least squares on their supports"),
        ("row_change_held_out", "change of the rows"),
    ):
        axes.plot(steps, [point[name] for point in points], "o-", label=label, markersize=3)
    cold = [point["fvu_held_out"] + point["cold_minus_warm"] for point in points]
    axes.plot(steps, cold, "x", label="penalised codes, cold start")
    axes.set_xscale("symlog", linthresh=1)
    axes.legend()
    return {"error_over_training": figure}
