"""Walking down a path of penalties: a dictionary, codes of all tokens and metrics at each."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from trials.api import Context
from trials.inputs.rows import TokenRows
from trials.kernels.sparse_coding import lasso_path
from trials.pursuit.code import Coded, with_errors
from trials.pursuit.learn import Learned, learn, median_critical
from trials.pursuit.learn_and_code import codes
from trials.pursuit.measure import measure, training_spectrum, uncertified
from trials.pursuit_path.config import PursuitPathConfig
from trials.pursuit_path.progress import Point, Progress, resume, save

CHOSEN_BY = "excess_bits_validation"


def follow(config: PursuitPathConfig, data: TokenRows, context: Context) -> Progress:
    """Every penalty that is not done yet, from the highest to the lowest.

    Each is reported, and saved first, so that a retry neither repeats nor skips one. The result
    does not depend on where a try was interrupted.
    """
    identity = config.model_dump_json()
    points, last, best = resume(context.checkpoint_dir, identity)
    spectrum = training_spectrum(data)
    penalties = config.penalties()[len(points) :]
    walked = _shared if config.dictionary == "shared" else _per_penalty
    solutions = walked(config, data, last, penalties, context)
    for penalty, (learned, coded) in zip(penalties, solutions, strict=True):
        point: Point = {
            "penalty": penalty,
            **measure(data, learned, coded, spectrum=spectrum),
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


def best_point(points: Sequence[Point]) -> Point:
    """The point with the least excess bits on validation tokens; the first where none has any."""
    return min(points, key=lambda p: math.inf if math.isnan(p[CHOSEN_BY]) else p[CHOSEN_BY])


def progress_metrics(points: Sequence[Point]) -> dict[str, float]:
    """The metrics that are known while the path is walked."""
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
    """A dictionary for each penalty, from that of the one before (`last`), and its codes."""
    for penalty in penalties:
        last = learn(
            data, config.at(penalty), context.n_threads, start=last.atoms if last else None
        )
        yield last, codes(config, data, last, context)


def _shared(
    config: PursuitPathConfig,
    data: TokenRows,
    last: Learned | None,
    penalties: Sequence[float],
    context: Context,
) -> Iterator[tuple[Learned, Coded]]:
    """One dictionary, and its codes along the whole path, of which `penalties` are left.

    A retry walks the path from its start, since the codes of a penalty start from the last one's.
    """
    assert config.shared_penalty is not None
    n_threads = context.n_threads
    learned = last or learn(data, config.at(config.shared_penalty), n_threads)
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
        # The time it took to learn the one dictionary counts once.
        learning_s = 0.0 if learned is last else learned.learning_s
        last = learned = learned._replace(
            l1_penalty=penalty * critical, l1_penalty_reached=penalty, learning_s=learning_s
        )
        asked = time.perf_counter() - solver_s
        yield learned, with_errors(data, learned.atoms, solved.codes, solved.gap, asked, n_threads)
