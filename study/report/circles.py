"""Are there circles? Each ordered set of words, and the rate of unnamed loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    DIGITS,
    NullComparison,
    answer,
    by_seed,
    clause,
    compare_with_nulls,
    interval,
    interval_of_nulls,
    metric_of,
    most_conservative,
)
from study.report.section import (
    Picture,
    Section,
    cells,
    comparison_grid,
    counted,
    notes,
)
from study.report.trial_groups import TrialFiles, TrialGroup, group_trials
from sweeper.records import TrialRow
from sweeper.report.contrast import spread
from sweeper.report.tables import Grid
from sweeper.report.words import number
from trials.api import TrialKind

_POWER = ("power_0.2", "power_0.3", "power_0.5")

_SORTS = {
    "neighbourhoods": "neighbourhoods of tokens",
    "groups": "groups of atoms",
}


def describe_circles(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per matrix and setting."""
    for group in group_trials(rows, kind):
        circles = compare_with_nulls(group, "sets of words on a circle", "n_circles")
        ordered = compare_with_nulls(group, "sets of words in order", "n_ordered")
        loops = {
            sort: compare_with_nulls(
                group, f"loops per thousand {words}", f"loops_per_thousand_{sort}"
            )
            for sort, words in _SORTS.items()
        }
        tested = compare_with_nulls(group, "", "n_sets_tested")[0].real
        found = most_conservative(circles)
        subject = "the number of ordered sets of words on a circle"
        yield Section(
            group.title,
            f"{answer(subject, found, out_of=f' of {number(tested.mean)}')}."
            if tested.mean > 0
            else "Not identified: no ordered set of words has enough tokens here.",
            [
                *_named(group, files),
                *_circle_power(group),
                *_text_order(group),
                *(_loop_rate(group, sort, most_conservative(loops[sort])) for sort in _SORTS),
            ],
            [
                comparison_grid([*circles, *ordered, *(b for bs in loops.values() for b in bs)]),
                *_sets(group, files),
                *_variants(group, files),
                *_known_orders(group, files),
            ],
            _pictures(group, files) if tested.mean > 0 else [],
            notes=notes(group, sweep),
        )


def _loop_rate(group: TrialGroup, sort: str, found: NullComparison) -> str:
    """The rate vs. the null. Seeds may agree on none, so also what a single trial rules out."""
    told = clause(f"The number of unnamed loops per thousand {_SORTS[sort]}", found)
    high = spread(by_seed(group.real, metric_of(f"loops_per_thousand_{sort}_high")).values())
    bound = f"; a single real trial rules out more than {number(high.mean, DIGITS)} (95 %)"
    return f"{told}{bound if high.n else ''}.{_loop_power(group, sort)}"


def _loop_power(group: TrialGroup, sort: str) -> str:
    """What the search finds of planted rings, and the upper bound that follows."""
    told = []
    for part, points in (("all", "all points"), ("part", "40 % of the points")):
        power, bound = (
            spread(by_seed(group.real, metric_of(f"{name}_{part}_{sort}")).values())
            for name in ("loop_power", "loops_bound")
        )
        if power.n:
            told.append(
                f"{points}: {number(100 * power.mean, DIGITS)} % found, so at most "
                f"{number(bound.mean, DIGITS)} per thousand"
            )
    return f" Planted rings with 40 % of the variance, {'; '.join(told)}." if told else ""


def _circle_power(group: TrialGroup) -> list[str]:
    """How often planted circles are found, mean over the cyclic sets."""
    told = []
    for percent in (20, 30, 50):
        power = spread(by_seed(group.real, metric_of(f"circle_power_{percent}")).values())
        if power.n:
            told.append(f"{number(100 * power.mean, DIGITS)} % at a share of {percent / 100}")
    if not told:
        return []
    return [
        f"Planted circles of as many labels, in rows of random tokens, found: {', '.join(told)}."
    ]


def _text_order(group: TrialGroup) -> list[str]:
    """Whether the order is more than the words' co-occurrence in a text."""
    sets, beyond = (
        spread(by_seed(group.real, metric_of(name)).values())
        for name in ("n_text_sets", "n_beyond_text")
    )
    if not sets.n:
        return []
    if sets.mean == 0:
        return [
            "Order beyond co-occurrence in a text: not run, or too few words (cooccurrence_text)."
        ]
    return [
        f"Order beyond co-occurrence (PPMI) in a text: {number(beyond.mean, DIGITS)} of "
        f"{number(sets.mean, DIGITS)} sets."
    ]


def _named(group: TrialGroup, files: TrialFiles) -> list[str]:
    """The sets that every real trial finds on a circle, and on a curve."""
    real, null = files.tables(group, "sets")
    found = []
    for verdict in ("circle", "curve"):
        names = [
            name
            for name in dict.fromkeys(line["set"] for line in real)
            if all(line["verdict"] == verdict for line in real if line["set"] == name)
        ]
        in_null = {line["set"] for line in null if line["verdict"] == verdict}
        told = [f"{name} (and in a null)" if name in in_null else name for name in names]
        if real:
            found.append(f"A {verdict} in every real trial: {', '.join(told) or 'none'}.")
    return found


def _sets(group: TrialGroup, files: TrialFiles) -> list[Grid]:
    """One row per set: the verdicts of the trials, and means over the real ones."""
    real, null = files.tables(group, "sets")
    body = []
    for name in dict.fromkeys(line["set"] for line in [*real, *null]):
        ours = [line for line in real if line["set"] == name]
        theirs = [line for line in null if line["set"] == name]
        body.append(
            [
                name,
                number(cells(ours or theirs, "n_tokens").mean),
                counted(line["verdict"] for line in ours),
                counted(line["verdict"] for line in theirs),
                interval(cells(ours, "fourier_share")),
                interval_of_nulls(group, cells(theirs, "fourier_share")),
                *(
                    number(cells(ours, column).mean, 3)
                    for column in ("p", "circulant_share", "closure", "wrap_gap", *_POWER)
                ),
            ]
        )
    columns = ["set", "tokens", "real trials", "null trials", "Fourier share", "null's"]
    columns += ["p", "circulant share", "closure", "wrap gap"]
    columns += [f"power at {share}" for share in ("0.2", "0.3", "0.5")]
    title = "Sets of words: how many trials find a circle, an open curve, an order, or none of them"
    return [Grid(columns, body, title=title)] if body else []


def _variants(group: TrialGroup, files: TrialFiles) -> list[Grid]:
    """How each set's answer moves when a nuisance is removed; real trials."""
    real, _ = files.tables(group, "set_variants")
    choices = list(dict.fromkeys(line["without"] for line in real))
    body = [
        [name]
        + [
            counted(
                line["verdict"]
                for line in real
                if line["set"] == name and line["without"] == without
            )
            for without in choices
        ]
        for name in dict.fromkeys(line["set"] for line in real)
    ]
    title = "How the answer moves without nuisances: real trials"
    return [Grid(["set", *choices], body, title=title)] if body else []


def _known_orders(group: TrialGroup, files: TrialFiles) -> list[Grid]:
    """The positive control of the search for loops: cyclic sets, whose labels it does not use."""
    real, _ = files.tables(group, "known_orders")
    body = []
    for name in dict.fromkeys(line["set"] for line in real):
        lines = [line for line in real if line["set"] == name]
        columns = ("n_tokens", "p_alone", "p_with_others")
        body.append([name, *(number(cells(lines, column).mean, 3) for column in columns)])
    columns_shown = ["set", "tokens", "p, alone", "p, with its nearest neighbours"]
    title = "Known cyclic sets in the search for loops (positive control)"
    return [Grid(columns_shown, body, title=title)] if body else []


def _pictures(group: TrialGroup, files: TrialFiles) -> list[Picture]:
    for row in group.real[:1]:
        if address := files.picture(row, "sets"):
            caption = (
                "The sets with the smallest p-values, in the plane of their two leading "
                f"principal components, which does not use the order; real rows, "
                f"seed {row.params.get('seed')}."
            )
            return [Picture(address, caption)]
    return []
