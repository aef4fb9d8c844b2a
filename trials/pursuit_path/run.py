"""Runs a trial of the kind `pursuit_path`: a dictionary, codes and metrics per penalty."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trials.api import Context, Table, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.kernels.sparse_coding import lasso_path
from trials.kernels.statistics import read_curve
from trials.pursuit.artifacts import arrays, atom_table
from trials.pursuit.code import Coded, code_with, with_errors
from trials.pursuit.learn import Learned, learn, median_critical
from trials.pursuit.measure import measure, pays_for_itself, training_spectrum, uncertified
from trials.pursuit_path.kind import (
    AT_BITS,
    AT_L0,
    BEST_BITS,
    COUNTS,
    SIDES,
    PursuitPathConfig,
)
from trials.pursuit_path.progress import Point, Progress, forget, resume, save


def run(config: PursuitPathConfig, context: Context) -> TrialResult:
    """Load the rows, then `walk` the path."""
    return walk(config, load_rows(config, fetch_artifact=context.fetch_artifact), context)


def walk(config: PursuitPathConfig, data: TokenRows, context: Context) -> TrialResult:
    """Follow the path, then code every token again at the best penalty for the artifacts."""
    points, _, best = follow(config, data, context)
    assert best is not None  # the path has at least two points
    coded = code_with(config, data, best, context)
    forget(context.checkpoint_dir)
    chosen, metrics = best_point(points), path_metrics(points)
    return TrialResult(
        metrics=metrics | best_metrics(chosen) | progress_metrics(points),
        arrays=arrays(data, coded),
        tables={"path": path_table(points), "atoms": atom_table(data, coded)},
        figures=figures(points),
        facts=data.facts
        | {
            "dictionary_artifact": f"of penalty {chosen['penalty']:.4g}",
            "dictionary": pays_for_itself(
                metrics["net_bits_held_out"], metrics["net_bits_omp_held_out"]
            ),
        },
        uncertified=next((p["uncertified"] for p in points if p["uncertified"]), ""),
    )


CHOSEN_BY = "excess_bits_validation"


def follow(config: PursuitPathConfig, data: TokenRows, context: Context) -> Progress:
    """Every penalty that is not done yet, from the highest to the lowest.

    Each is saved before it is reported, so that a retry neither repeats nor skips one. The result
    does not depend on where an attempt was interrupted.
    """
    identity = config.model_dump_json()
    points, last, best = resume(context.checkpoint_dir, identity)
    spectrum = training_spectrum(data)
    penalties = config.penalties()[len(points) :]
    walked = _shared if config.dictionary == "shared" else _per_penalty
    solutions = walked(config, data, last, penalties, context)
    for penalty, (learned, coded) in zip(penalties, solutions, strict=True):
        measured = measure(
            data,
            learned,
            coded,
            n_threads=context.n_threads,
            device=context.device,
            spectrum=spectrum,
        )
        point: Point = {
            "penalty": penalty,
            **measured,
            "certified_frac": float((coded.gap <= config.tolerance).mean()),
            "uncertified": uncertified(data, coded.gap, config.tolerance),
        }
        points = (*points, point)
        if best_point(points) is point:
            best = learned
        last = learned
        save(context.checkpoint_dir, identity, Progress(points, last, best))
        context.report(len(points), progress_metrics(points))
    return Progress(points, last, best)


def best_point(points: Sequence[Point], by: str = CHOSEN_BY) -> Point:
    """The point with the least bits (`by`) on validation tokens; the first if all are NaN."""
    return min(points, key=lambda p: math.inf if math.isnan(p[by]) else p[by])


def progress_metrics(points: Sequence[Point]) -> dict[str, float]:
    """The metrics that are known on the way along the path."""
    return {
        CHOSEN_BY: best_point(points)[CHOSEN_BY],
        "fvu_validation_last": points[-1]["fvu_validation"],
        "l0_validation_last": points[-1]["l0_validation"],
        "gap_max": max(point["gap_max"] for point in points),
    }


def _per_penalty(
    config: PursuitPathConfig,
    data: TokenRows,
    last: Learned | None,
    penalties: Sequence[float],
    context: Context,
) -> Iterator[tuple[Learned, Coded]]:
    """One dictionary per penalty, starting from the previous one (`last`), and its codes."""
    for penalty in penalties:
        start = last.atoms if last else None
        last = learn(
            data, config.at(penalty), context.n_threads, start=start, device=context.device
        )
        yield last, code_with(config, data, last, context)


def _shared(
    config: PursuitPathConfig,
    data: TokenRows,
    last: Learned | None,
    penalties: Sequence[float],
    context: Context,
) -> Iterator[tuple[Learned, Coded]]:
    """One dictionary, and its codes along the whole path, of which `penalties` remain.

    A retry computes the path from its start: the codes of each penalty start from the previous.
    """
    assert config.shared_penalty is not None
    n_threads, device = context.n_threads, context.device
    learned = last or learn(data, config.at(config.shared_penalty), n_threads, device=device)
    train = data.rows[data.split.train]
    critical = median_critical(train, learned.atoms, config.nonnegative, n_threads)
    started = time.perf_counter()
    path = lasso_path(
        data.rows,
        learned.atoms,
        l1_penalties=critical * np.array(config.penalties()),
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=n_threads,
    )
    solver_s = (time.perf_counter() - started) / len(path)
    n_done = len(path) - len(penalties)
    for penalty, solved in zip(penalties, path[n_done:], strict=True):
        # The time to learn the shared dictionary counts once.
        learning_s = 0.0 if learned is last else learned.learning_s
        last = learned = learned._replace(
            l1_penalty=penalty * critical, l1_penalty_reached=penalty, learning_s=learning_s
        )
        asked = time.perf_counter() - solver_s
        atoms = learned.atoms
        yield (
            learned,
            with_errors(data, atoms, solved.codes, solved.gap, asked, n_threads, device),
        )


def path_metrics(points: Sequence[Point]) -> dict[str, float]:
    """Every metric except those of `best_metrics` and `progress_metrics`."""

    def column(name: str) -> list[float]:
        return [point[name] for point in points]

    metrics: dict[str, float] = {}
    for side in SIDES:
        l0 = column(f"l0_{side}")
        for name in ("fvu", "fvu_debiased", "fvu_omp", "excess_bits", "excess_bits_omp"):
            values = column(f"{name}_{side}")
            for at in AT_L0:
                found = read_curve(l0, values, at, log_y=name.startswith("fvu"))
                metrics[f"{name}_{side}_at_l0_{at:.0f}"] = found
        for coder in ("", "_omp"):
            bits, rounded = (
                column(f"{name}{coder}_{side}") for name in ("code_bits", "fvu_rounded")
            )
            for at in AT_BITS:
                metrics[f"fvu_rounded{coder}_{side}_at_bits_{at:.0f}"] = read_curve(
                    bits, rounded, at
                )
    for name in BEST_BITS:
        best = best_point(points, f"{name}_validation")
        metrics[f"{name}_held_out"] = best[f"{name}_held_out"]
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
        **{name: points[-1][name] for name in COUNTS},
    }


def best_metrics(best: Point) -> dict[str, float]:
    """The metrics at the penalty that is best on validation tokens."""
    return {
        "excess_bits_held_out": best["excess_bits_held_out"],
        "best_penalty": best["penalty"],
        "l0_held_out_best": best["l0_held_out"],
        "fvu_held_out_best": best["fvu_held_out"],
    }


def path_table(points: Sequence[Point]) -> Table:
    """One row per point: every metric of the kind `pursuit` there."""
    return {name: [point[name] for point in points] for name in points[0]}


def figures(points: Sequence[Point]) -> dict[str, Figure]:
    """Error against bits, with the bound of a Gaussian, and error against sparsity."""

    def column(name: str) -> list[float]:
        return [point[name] for point in points]

    def draw(title: str, x: str, y: str) -> tuple[Figure, Axes]:
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        return figure, figure.add_subplot(title=title, xlabel=x, ylabel=y)

    frontier, axes = draw(
        "Error against bits, held-out tokens", "bits per token", "FVU of the rounded code"
    )
    error = column("fvu_rounded_held_out")
    axes.plot(column("code_bits_held_out"), error, "o-", label="codes")
    axes.plot(column("gaussian_bits_held_out"), error, "--", label="bound, Gaussian rows")
    axes.legend()
    sparsity, axes = draw("Error against sparsity", "atoms per token (l0)", "FVU")
    for side in ("train", "validation", "held_out"):
        axes.plot(column(f"l0_{side}"), column(f"fvu_{side}"), "o-", label=side.replace("_", "-"))
    if max(column("l0_held_out")) > 0:
        axes.set_xscale("symlog", linthresh=1)
    axes.legend()
    return {"frontier": frontier, "error_by_l0": sparsity}
