"""What does one random row cost, and does fine-tuning bring it back?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from study.report.figures import draw_strata
from study.report.null_comparison import interval
from study.report.row_recovery import (
    BY_STEP,
    Treatment,
    over_seeds,
    over_tokens,
    recovery_figure,
    recovery_grid,
    recovery_sentences,
)
from study.report.section import Section, notes
from study.report.trial_groups import TrialFiles, group_trials
from sweeper.records import Scalar, TrialRow
from sweeper.report.artifact_table import as_number
from sweeper.report.contrast import Spread, spread
from sweeper.report.tables import Grid
from sweeper.report.words import natural, number, plural, shown, spaced
from trials.api import TrialKind

_APART = ("draw", "scope", "regime", "n_steps", "mode")
_RANDOM = ("norm_matched", "init", "gaussian")
"""Draws that make a row random; the first of them that was tried is reported."""
_DAMAGE = {
    "damage_as_input_held_out": "as input",
    "damage_as_target_held_out": "as output",
    "damage_overall_held_out": "overall",
}
_DRAWN_FROM = {
    "n_tokens": "tokens",
    "n_measurable": "measurable",
    "n_tried": "tried",
    "per_million_low": "lowest per million",
    "per_million_median": "median",
    "per_million_high": "highest",
    "count_median": "median count in the text",
}
_STRATUM = {"as_input": "as input", "as_target": "as output", "overall": "overall"}
_BY_FREQUENCY = (
    "What one changed row costs, by the frequency of its token",
    "Held-out text, mean over the tokens of a stratum (0: the most frequent). Bars: 95 % interval "
    "over seeds, with two or more.",
)
_WORDS = {"norm_matched": "a random direction of its length"}

Changed = tuple[Scalar, Scalar]
"""What was done to the row: draw and scope."""


def describe_row_swaps(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per model and text."""
    for group in group_trials(rows, kind, main="model", over=_APART):
        treatments = _by_treatment(
            [row for row in group.real if row.params.get("mode") != "cumulative"]
        )
        together = [row for row in group.real if row.params.get("mode") == "cumulative"]
        damaged = _by_draw(treatments)
        by_stratum = {draw: _damage_by_stratum(rows, files) for draw, rows in damaged.items()}
        drawn_from = _drawn_from(group.real, files)
        figures = [(*_BY_FREQUENCY, draw_strata(_widest_of_each_draw(by_stratum)))]
        figures.append((*BY_STEP, recovery_figure(treatments, files)))
        yield Section(
            group.title,
            _sentence(treatments),
            [*recovery_sentences(treatments), *_unspoken(drawn_from), *_all_rows(together)],
            [
                *_damage_grid(damaged),
                *recovery_grid(treatments),
                *_strata_grid(by_stratum),
                *_drawn_from_grid(drawn_from),
            ],
            figures=[figure for figure in figures if figure[2] is not None],
            notes=[
                *notes(group, sweep, has_null=False),
                "Each seed draws its own tokens, new rows and batches, so an interval over seeds "
                "covers all three. The interval over tokens is a bootstrap within strata, its ends "
                "averaged over seeds. Neither covers the choice of text or model.",
                "Fine-tuned damage is compared with a null: the same fine-tuning, on the same "
                "batches, of the model without a changed row.",
            ],
        )


def _by_treatment(rows: Sequence[TrialRow]) -> dict[Treatment, list[TrialRow]]:
    found: dict[Treatment, list[TrialRow]] = {}
    for row in rows:
        draw, scope, regime, steps = (row.params.get(name) for name in _APART[:4])
        found.setdefault((draw, scope, regime if steps else None, steps), []).append(row)
    return dict(sorted(found.items(), key=lambda item: [natural(value) for value in item[0]]))


def _by_draw(treatments: dict[Treatment, list[TrialRow]]) -> dict[Changed, list[TrialRow]]:
    """One trial per draw, scope and seed: damage is measured before any fine-tuning."""
    found: dict[Changed, dict[Scalar, TrialRow]] = {}
    for (draw, scope, *_), rows in treatments.items():
        found.setdefault((draw, scope), {}).update({row.params.get("seed"): row for row in rows})
    return {draw: list(rows.values()) for draw, rows in found.items()}


def _sentence(treatments: dict[Treatment, list[TrialRow]]) -> str:
    """The cost of a random row, and whether it differs from zero."""
    treatment = min(treatments, key=_by_randomness, default=None)
    if treatment is None:
        return "Not identified: no trial changed one row at a time."
    rows, (draw, scope, *_) = treatments[treatment], treatment
    overall, as_input, as_target = (
        over_seeds(rows, f"damage_{where}_held_out")
        for where in ("overall", "as_input", "as_target")
    )
    where = "" if scope == "both" else f" ({shown(scope)} side only)"
    became = _WORDS.get(str(draw), spaced(shown(draw)))
    return (
        f"{_answer(overall)} One row set to {became}{where} costs {interval(overall)} nats per "
        f"token over all text: {interval(as_input)} right after its token, {interval(as_target)} "
        f"where the token is the target; {_certainty(overall)}."
    )


def _by_randomness(treatment: Treatment) -> tuple[int, bool, float]:
    draw, scope, _, steps = treatment
    order = _RANDOM.index(str(draw)) if draw in _RANDOM else len(_RANDOM)
    return order, scope != "both", float(steps or 0)


def _answer(found: Spread) -> str:
    if not math.isfinite(found.low):
        return "Not identified."
    if found.low > 0:
        return "It costs."
    return "It helps." if found.high < 0 else "Not distinguishable from no cost."


def _certainty(found: Spread) -> str:
    if found.n < 2:
        return "one seed, so no interval"
    return f"95 % intervals over {found.n} seeds"


def _all_rows(rows: Sequence[TrialRow]) -> list[str]:
    damage, half = (over_seeds(rows, name) for name in ("damage_of_all_rows", "rows_to_half"))
    if not damage.n:
        return []
    return [
        f"Changing all rows at once costs {interval(damage)} nats per token; {interval(half)} rows "
        f"cause half of that ({plural(damage.n, 'seed')})."
    ]


def _damage_grid(damaged: dict[Changed, list[TrialRow]]) -> list[Grid]:
    body = [
        [
            spaced(shown(draw)),
            shown(scope),
            *(interval(over_seeds(rows, name)) for name in _DAMAGE),
            over_tokens(rows, "damage_overall_held_out"),
            str(len(rows)),
        ]
        for (draw, scope), rows in damaged.items()
    ]
    columns = ["the row becomes", "side", *_DAMAGE.values(), "overall, over tokens", "seeds"]
    return [Grid(columns, body, title="Damage (nats per token, held-out text)")] if body else []


def _damage_by_stratum(
    rows: Sequence[TrialRow], files: TrialFiles
) -> dict[float, dict[str, Spread]]:
    """Means over the tokens of each stratum, over seeds."""
    values: dict[float, dict[str, list[float]]] = {}
    for row in rows:
        lines = files.table(row, "rows")
        for stratum in {as_number(line["stratum"]) for line in lines}:
            here = [line for line in lines if as_number(line["stratum"]) == stratum]
            for name in _STRATUM:
                mean = spread(as_number(line.get(name)) for line in here).mean
                values.setdefault(stratum, {}).setdefault(name, []).append(mean)
    return {
        stratum: {name: spread(means) for name, means in values[stratum].items()}
        for stratum in sorted(values)
    }


def _widest_of_each_draw(
    by_stratum: dict[Changed, dict[float, dict[str, Spread]]],
) -> dict[str, dict[float, dict[str, Spread]]]:
    """By draw, random ones first; both sides changed where that was tried."""
    found: dict[str, dict[float, dict[str, Spread]]] = {}
    for draw, scope in sorted(by_stratum, key=lambda one: _by_randomness((*one, None, 0))):
        if by_stratum[draw, scope]:
            found.setdefault(spaced(shown(draw)), by_stratum[draw, scope])
    return found


def _strata_grid(by_stratum: dict[Changed, dict[float, dict[str, Spread]]]) -> list[Grid]:
    body = [
        [spaced(shown(draw)), shown(scope), number(stratum)]
        + [interval(found[name]) for name in _STRATUM]
        for (draw, scope), strata in by_stratum.items()
        for stratum, found in strata.items()
    ]
    columns = ["the row becomes", "side", "stratum, 0 the most frequent", *_STRATUM.values()]
    return [Grid(columns, body, title="Damage by stratum of the token")] if body else []


def _drawn_from(rows: Sequence[TrialRow], files: TrialFiles) -> list[dict[str, str]]:
    """The table `strata` of one trial: strata are the same in all trials of a text."""
    return next((table for row in rows if (table := files.table(row, "strata"))), [])


def _unspoken(drawn_from: Sequence[dict[str, str]]) -> list[str]:
    """How many tokens the strata say nothing about."""
    sizes = {line["stratum"]: int(as_number(line["n_tokens"])) for line in drawn_from}
    if not (total := sum(sizes.values())):
        return []
    rare, absent = sizes["too rare"], sizes["absent"]
    return [
        f"The strata hold {total - rare - absent} of {total} tokens. Nothing is said of "
        f"{absent} tokens that do not occur on the training side of the text, nor of {rare} that "
        "are too rare to be measured on both other sides."
    ]


def _drawn_from_grid(drawn_from: Sequence[dict[str, str]]) -> list[Grid]:
    body = [
        [line["stratum"]] + [number(as_number(line[name]), 3) for name in _DRAWN_FROM]
        for line in drawn_from
    ]
    columns = ["stratum, 0 the most frequent", *_DRAWN_FROM.values()]
    return [Grid(columns, body, title="What the strata are drawn from")] if body else []
