"""Rules that tie a sweep file to the kind that it names."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from sweeper.declare.document import KeyPath, Where, shown
from sweeper.declare.search import EarlyStopping, Objective, Resources, Search
from sweeper.declare.space import Dimension, FloatRange
from sweeper.declare.sweep_file import Limits
from sweeper.errors import UserError, nearest
from trials import kind_names, load_kind
from trials.api import Metric, TrialKind

MAX_TRIALS = 100_000
MAX_TARGET_TRIALS = 8
"""Proposals for each target, where the sweep file does not say."""

Goal = TypeVar("Goal", Objective, EarlyStopping)


def known_kind(name: str, where: Where) -> TrialKind:
    """The kind of that name."""
    try:
        return load_kind(name)
    except KeyError:
        what, hint = f"unknown kind '{name}'", nearest(name, kind_names())
        raise UserError(what, where=where(("kind",)), hint=hint) from None


def check_fields(
    kind: TrialKind,
    fixed: Collection[str],
    space: Collection[str],
    cases: Collection[str],
    where: Where,
) -> None:
    """Every field exists, is given once and is not the seed; none that is required is missing.

    `cases` are the fields of cases, which have been checked.
    """
    allowed = [name for name in kind.config.model_fields if name != "seed"]
    for section, names in (("fixed", fixed), ("space", space)):
        for name in names:
            at = where((section, name))
            if name == "seed":
                what = "seed is given by the key seeds alone"
                raise UserError(what, where=at, hint="write seeds: [0, 1, 2]")
            if name not in allowed:
                raise UserError(f"unknown field '{name}'", where=at, hint=nearest(name, allowed))
            if name in cases:
                raise UserError(f"'{name}' is given by cases too", where=at)
            if section == "space" and name in fixed:
                raise UserError(f"'{name}' is fixed too; a field is fixed or varied", where=at)
    for name, field in kind.config.model_fields.items():
        if field.is_required() and not any(name in given for given in (fixed, space, cases)):
            what = f"field '{name}' is missing; give it under fixed or space"
            raise UserError(what, where=where(()))


def check_nulls(
    kind: TrialKind,
    nulls: Sequence[str],
    fixed: Mapping[str, Any],
    space: Collection[str],
    where: Where,
) -> None:
    """The kind has nulls, none of those named is the real one, and nothing else sets the field."""
    if not nulls:
        return
    if (control := kind.control) is None:
        what = f"kind {kind.name} has no nulls"
        raise UserError(what, where=where(("nulls",)))
    for n, null in enumerate(nulls):
        if null == control.real:
            what = f"given {shown(null)}; that is the real {control.field}, which runs anyway"
            raise UserError(what, where=where(("nulls", n)))
    if control.field in space:
        what = f"nulls gives '{control.field}' its values; leave out one of the two"
        raise UserError(what, where=where(("space", control.field)))
    if (given := fixed.get(control.field, control.real)) != control.real:
        what = f"given {shown(given)}; with nulls only {shown(control.real)} can be fixed"
        raise UserError(what, where=where(("fixed", control.field)))


def check_limits(limits: Limits, resources: Resources, where: Where) -> None:
    """A budget of GPU hours needs trials that hold a GPU."""
    if limits.budget_gpu_hours is not None and not resources.gpu:
        what = f"given {limits.budget_gpu_hours:g}; a trial holds no GPU"
        hint = "give resources: {gpu: 1}"
        raise UserError(what, where=where(("limits", "budget_gpu_hours")), hint=hint)


def resolved_search(kind: TrialKind, search: Search, where: Where) -> Search:
    """The search with the kind's objective where none is named, and every direction filled in.

    Held-out metrics are refused, even in a grid: its best trial is chosen by them too.
    """
    at: KeyPath = ("search", "objectives")
    if search.objectives:
        objectives = tuple(
            _resolved(kind, goal, where((*at, n))) for n, goal in enumerate(search.objectives)
        )
    else:
        objectives = (_resolved(kind, Objective(metric=kind.objective), where(at)),)
    for name in search.constraints:
        _check_metric(kind, name, where(("search", "constraints", name)))
    return search.model_copy(update={"objectives": objectives})


def resolved_stopping(
    kind: TrialKind, early: EarlyStopping | None, where: Where
) -> EarlyStopping | None:
    """Early stopping with its direction filled in; the metric is one that running trials report."""
    if early is None:
        return None
    at = where(("early_stopping", "metric"))
    resolved = _resolved(kind, early, at)
    if early.metric not in kind.reports:
        what = f"trials of kind {kind.name} do not report '{early.metric}' while they run"
        hint = f"reported: {', '.join(kind.reports)}" if kind.reports else "they report nothing"
        raise UserError(what, where=at, hint=hint)
    return resolved


def _resolved(kind: TrialKind, goal: Goal, at: str) -> Goal:
    """`goal` with the metric's direction."""
    metric = _check_metric(kind, goal.metric, at)
    if "none" not in (goal.direction, metric.direction) and goal.direction != metric.direction:
        what = f"given direction '{goal.direction}'; kind {kind.name} has '{goal.metric}' to"
        raise UserError(f"{what} {metric.direction}", where=at, hint="leave direction out")
    direction = metric.direction if goal.direction == "none" else goal.direction
    if direction == "none":
        what = f"'{goal.metric}' has no direction of its own; add direction: minimise or maximise"
        raise UserError(what, where=at)
    return goal.model_copy(update={"direction": direction})


def _check_metric(kind: TrialKind, name: str, at: str) -> Metric:
    """The kind's metric of that name; held-out ones are refused, as trials are chosen by it."""
    if name not in kind.metric_names:
        what, hint = f"unknown metric '{name}'", nearest(name, kind.metric_names)
        raise UserError(what, where=at, hint=hint)
    metric = kind.metric(name)
    if metric.held_out:
        usable = [m.name for m in kind.metrics if not m.held_out and m.direction != "none"]
        raise UserError(
            f"'{name}' is measured on held-out tokens; choosing by it would spoil them",
            where=at,
            hint=f"choose by {', '.join(usable[:12])}" if usable else "",
        )
    return metric


def check_size(
    search: Search,
    space: Mapping[str, Dimension],
    n_cases: int,
    trials: int | None,
    n_seeds: int,
    n_nulls: int,
    where: Where,
) -> None:
    """The search ends, has something to vary, and declares at most `MAX_TRIALS` trials.

    The size of a grid is a product: a grid of 10^9 points is refused without being walked.
    """
    if search.method == "target":
        _check_target_size(space, n_cases, trials, n_seeds, n_nulls, where)
        return
    if search.method != "grid":
        at = where(("search", "method"))
        if n_cases:
            raise UserError(f"{search.method} search with cases; only a grid has cases", where=at)
        if trials is None:
            raise UserError(f"{search.method} search without trials; say how many", where=at)
        if not space:
            raise UserError(f"{search.method} search with nothing in space to vary", where=at)
        _check_limit([trials], n_seeds, n_nulls, where(("trials",)))
        return
    for name, dimension in space.items():
        if not dimension.has_grid:
            what = "a range without points; in a grid a float or log range needs points"
            raise UserError(what, where=where(("space", name)), hint="add points: 5")
    sizes = [dimension.grid_size for dimension in space.values()]
    sizes += [n_cases] if n_cases else []
    if trials is not None and trials < math.prod(sizes):
        _check_limit([trials], n_seeds, n_nulls, where(("trials",)))
    else:
        _check_limit(sizes, n_seeds, n_nulls, where(("space",)))


def _check_target_size(
    space: Mapping[str, Dimension],
    n_cases: int,
    trials: int | None,
    n_seeds: int,
    n_nulls: int,
    where: Where,
) -> None:
    """One field is a float range without points, to be solved for; the others have a grid."""
    solved = [n for n, d in space.items() if not d.has_grid and isinstance(d, FloatRange)]
    if len(solved) != 1:
        found = f"{len(solved)} ({', '.join(solved)})" if solved else "none"
        what = f"method target solves for one float range without points; space has {found}"
        raise UserError(what, where=where(("space",) if space else ("search", "method")))
    others = {name: dimension for name, dimension in space.items() if name != solved[0]}
    if gridless := [name for name, dimension in others.items() if not dimension.has_grid]:
        what = "a range without points; all but the field that is solved for need a grid"
        raise UserError(what, where=where(("space", gridless[0])), hint="add points: 5")
    sizes = [trials or MAX_TARGET_TRIALS, *(d.grid_size for d in others.values()), n_cases or 1]
    _check_limit(sizes, n_seeds, n_nulls, where(("trials",)))


def _check_limit(sizes: list[int], n_seeds: int, n_nulls: int, at: str) -> None:
    if (n_trials := math.prod(sizes) * n_seeds * (1 + n_nulls)) > MAX_TRIALS:
        product = " x ".join(f"{size:,}" for size in sizes)
        product += f" x {n_seeds:,} seeds" if n_seeds > 1 else ""
        product += f" x {1 + n_nulls:,} with the nulls" if n_nulls else ""
        raise UserError(f"{n_trials:,} trials ({product}); at most {MAX_TRIALS:,}", where=at)
