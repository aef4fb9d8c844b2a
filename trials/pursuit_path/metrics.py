"""The metrics of the kind `pursuit_path`: its curves, read where dictionaries can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from trials.api import Metric
from trials.pursuit_path.progress import Point

AT_L0 = (4.0, 8.0, 16.0, 32.0, 64.0)
AT_BITS = (25.0, 50.0, 100.0, 200.0, 400.0)

_SIDES = ("validation", "held_out")

_COUNTS = (
    "n_atoms_resolved",
    "effective_sample_size",
    "n_train_tokens",
    "n_validation_tokens",
    "n_held_out_tokens",
)


def path_metrics(points: Sequence[Point]) -> dict[str, float]:
    """Every metric but `best_*` and what is known while the path is walked."""
    from trials.kernels.statistics import read_curve

    def column(name: str) -> list[float]:
        return [point[name] for point in points]

    metrics: dict[str, float] = {}
    for side in _SIDES:
        l0, bits = column(f"l0_{side}"), column(f"code_bits_{side}")
        fvu, excess = column(f"fvu_{side}"), column(f"excess_bits_{side}")
        debiased, rounded = column(f"fvu_debiased_{side}"), column(f"fvu_rounded_{side}")
        for at in AT_L0:
            metrics |= {
                f"fvu_{side}_at_l0_{at:.0f}": read_curve(l0, fvu, at),
                f"fvu_debiased_{side}_at_l0_{at:.0f}": read_curve(l0, debiased, at),
                f"excess_bits_{side}_at_l0_{at:.0f}": read_curve(l0, excess, at, log_y=False),
            }
        for at in AT_BITS:
            metrics[f"fvu_rounded_{side}_at_bits_{at:.0f}"] = read_curve(bits, rounded, at)
    n = len(points)
    return metrics | {
        "l0_held_out_min": min(column("l0_held_out")),
        "l0_held_out_max": max(column("l0_held_out")),
        "certified_frac": sum(column("certified_frac")) / n,
        "converged_frac": sum(column("learning_converged")) / n,
        "memorises": max(column("memorises")),
        "n_penalties_done": float(n),
        "solver_s": sum(column("solver_s")),
        "learning_s": sum(column("learning_s")),
        **{name: points[-1][name] for name in _COUNTS},
    }


def best_metrics(best: Point) -> dict[str, float]:
    """What stands at the penalty that is best on validation tokens."""
    return {
        "excess_bits_held_out": best["excess_bits_held_out"],
        "best_penalty": best["penalty"],
        "l0_held_out_best": best["l0_held_out"],
        "fvu_held_out_best": best["fvu_held_out"],
    }


def _read_off(name: str, unit: str, x: str, at: tuple[float, ...], log_y: bool) -> list[Metric]:
    """`name` along the path, where `x` (`l0` or `code_bits`) has each of the values `at`."""
    short, of_x = ("l0", "atoms") if x == "l0" else ("bits", "bits")
    scale = f"log {x} and log {name}" if log_y else f"log {x}"
    return [
        Metric(
            f"{name}_{side}_at_{short}_{value:.0f}",
            unit,
            "minimise",
            f"{name}_{side} of the kind pursuit where {x}_{side} is {value:.0f} {of_x}, "
            f"interpolated along the path (linear in {scale}); NaN outside the path",
            held_out=side == "held_out",
        )
        for value in at
        for side in _SIDES
    ]


METRICS = (
    Metric(
        "excess_bits_validation",
        "bits",
        "minimise",
        "least over the path of excess_bits of the kind pursuit on validation tokens (code_bits "
        "minus gaussian_bits at the same error)",
    ),
    Metric(
        "excess_bits_held_out",
        "bits",
        "minimise",
        "excess_bits of the held-out tokens at the penalty where that of the validation tokens is "
        "least",
        held_out=True,
    ),
    Metric("best_penalty", "", "none", "that penalty, relative to the median critical penalty"),
    Metric("l0_held_out_best", "atoms", "none", "l0 of held-out tokens there", held_out=True),
    Metric("fvu_held_out_best", "frac", "none", "fvu of held-out tokens there", held_out=True),
    *_read_off("fvu", "frac", "l0", AT_L0, log_y=True),
    *_read_off("fvu_debiased", "frac", "l0", AT_L0, log_y=True),
    *_read_off("excess_bits", "bits", "l0", AT_L0, log_y=False),
    *_read_off("fvu_rounded", "frac", "code_bits", AT_BITS, log_y=True),
    Metric("l0_held_out_min", "atoms", "none", "least l0 of held-out tokens on the path", True),
    Metric("l0_held_out_max", "atoms", "none", "largest l0 of held-out tokens on the path", True),
    Metric("fvu_validation_last", "frac", "minimise", "fvu of validation tokens, last penalty"),
    Metric("l0_validation_last", "atoms", "none", "l0 of validation tokens, last penalty"),
    Metric(
        "gap_max",
        "",
        "minimise",
        "maximum over tokens and penalties of the relative duality gap of the code, float64",
    ),
    Metric("certified_frac", "frac", "maximise", "codes with a gap of at most tolerance / codes"),
    Metric(
        "converged_frac",
        "frac",
        "maximise",
        "penalties at which learning settled before max_passes / penalties",
    ),
    Metric(
        "memorises",
        "",
        "minimise",
        "1 if the dictionary remembers tokens (as in the kind pursuit) at any penalty, else 0",
    ),
    Metric("n_penalties_done", "penalties", "none", "points of the path"),
    Metric("n_atoms_resolved", "atoms", "none", "rows of the dictionary"),
    Metric(
        "effective_sample_size", "tokens", "none", "(sum w)^2 / sum w^2 over the training tokens"
    ),
    Metric("n_train_tokens", "tokens", "none", "tokens the dictionary is learned from"),
    Metric("n_validation_tokens", "tokens", "none", "tokens that choices are made on"),
    Metric("n_held_out_tokens", "tokens", "none", "sealed tokens"),
    Metric(
        "solver_s", "s", "minimise", "wall time of coding all tokens, all penalties", timing=True
    ),
    Metric("learning_s", "s", "minimise", "wall time of learning, all penalties", timing=True),
)
