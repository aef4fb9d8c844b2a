"""What does one random row cost? Damage where its token is read or predicted, and overall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from study.report.figures import draw_strata
from study.report.null_comparison import by_seed, interval, metric_of
from study.report.section import Section, notes
from study.report.trial_groups import TrialFiles, group_trials
from sweeper.records import Scalar, TrialRow
from sweeper.report.artifact_table import as_number
from sweeper.report.contrast import Spread, spread
from sweeper.report.tables import Grid
from sweeper.report.words import MISSING, natural, number, plural, shown, spaced
from trials.api import TrialKind

_APART = ("draw", "scope", "regime", "n_steps", "mode")
_RANDOM = ("norm_matched", "init", "gaussian")
"""Draws that make a row random; the first of them that was tried is reported."""
_DAMAGE = {
    "damage_as_input_held_out": "as input",
    "damage_as_target_held_out": "as output",
    "damage_overall_held_out": "overall",
}
_STRATUM = {"as_input": "as input", "as_target": "as output", "overall": "overall"}
_WORDS = {"norm_matched": "a random direction of its length"}

Treatment = tuple[Scalar, ...]
"""What was done to the row, and the training after it: draw, scope, regime and steps."""


def describe_row_swaps(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per model and text."""
    for group in group_trials(rows, kind, main="model", over=_APART):
        treatments = _by_treatment(
            [row for row in group.real if row.params.get("mode") != "cumulative"]
        )
        together = [row for row in group.real if row.params.get("mode") == "cumulative"]
        measured = {
            treatment: _damage_by_stratum(members, files)
            for treatment, members in treatments.items()
        }
        figure = draw_strata(_first_of_each_draw(measured))
        caption = (
            "Held-out text, mean over the tokens of a stratum (0: the most frequent). Bars: 95 % "
            "interval over seeds, with two or more."
        )
        yield Section(
            group.title,
            _sentence(treatments),
            [*_recovery(treatments), *_all_rows(together)],
            [*_damage_grid(treatments), *_strata_grid(measured)],
            figures=[("What one changed row costs, by the frequency of its token", caption, figure)]
            if figure
            else [],
            notes=[
                *notes(group, sweep, has_null=False),
                "Seeds redraw the new rows for the same tokens; the bootstrap interval covers the "
                "choice of tokens.",
            ],
        )


def _by_treatment(rows: Sequence[TrialRow]) -> dict[Treatment, list[TrialRow]]:
    found: dict[Treatment, list[TrialRow]] = {}
    for row in rows:
        draw, scope, regime, steps = (row.params.get(name) for name in _APART[:4])
        found.setdefault((draw, scope, regime if steps else None, steps), []).append(row)
    return dict(sorted(found.items(), key=lambda item: [natural(value) for value in item[0]]))


def _sentence(treatments: dict[Treatment, list[TrialRow]]) -> str:
    """The cost of a random row, and whether it differs from zero."""
    treatment = min(treatments, key=_by_randomness, default=None)
    if treatment is None:
        return "Not identified: no trial changed one row at a time."
    rows, (draw, scope, *_) = treatments[treatment], treatment
    overall, as_input, as_target = (
        spread(by_seed(rows, metric_of(f"damage_{where}_held_out")).values())
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


def _recovery(treatments: dict[Treatment, list[TrialRow]]) -> list[str]:
    """How much of the damage training undoes, by what was trained."""
    found = []
    for (draw, scope, regime, steps), rows in treatments.items():
        back = spread(by_seed(rows, metric_of("recovered_frac_held_out")).values())
        if steps and back.n:
            found.append(
                f"Training ({shown(regime)}, {shown(steps)} steps) undoes "
                f"{interval(back)} of the damage by {spaced(shown(draw))} ({shown(scope)}; "
                f"{plural(back.n, 'seed')})."
            )
    return found or ["Recovery was not measured: n_steps is 0 in every trial."]


def _all_rows(rows: Sequence[TrialRow]) -> list[str]:
    damage, half = (
        spread(by_seed(rows, metric_of(name)).values())
        for name in ("damage_of_all_rows", "rows_to_half")
    )
    if not damage.n:
        return []
    return [
        f"Changing all rows at once costs {interval(damage)} nats per token; {interval(half)} rows "
        f"cause half of that ({plural(damage.n, 'seed')})."
    ]


def _damage_grid(treatments: dict[Treatment, list[TrialRow]]) -> list[Grid]:
    body = []
    for (draw, scope, regime, steps), rows in treatments.items():
        body.append(
            [
                spaced(shown(draw)),
                shown(scope),
                f"{shown(regime)}, {shown(steps)} steps" if steps else MISSING,
                *(interval(spread(by_seed(rows, metric_of(name)).values())) for name in _DAMAGE),
                _over_tokens(rows),
                interval(spread(by_seed(rows, metric_of("recovered_frac_held_out")).values())),
                str(len({row.params.get("seed") for row in rows})),
            ]
        )
    columns = ["the row becomes", "side", "trained", *_DAMAGE.values()]
    columns += ["overall, over tokens", "recovered", "seeds"]
    return [Grid(columns, body, title="Damage (nats per token, held-out text)")] if body else []


def _over_tokens(rows: Sequence[TrialRow]) -> str:
    """The interval over the tokens that were tried, which are the same for every seed."""
    low, high = (
        spread(by_seed(rows, metric_of(f"damage_overall_held_out_{end}")).values())
        for end in ("low", "high")
    )
    return f"[{number(low.mean, 3)}, {number(high.mean, 3)}]" if low.n else MISSING


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


def _first_of_each_draw(
    measured: dict[Treatment, dict[float, dict[str, Spread]]],
) -> dict[str, dict[float, dict[str, Spread]]]:
    """By draw, at the widest scope: damage is measured before any training."""
    found: dict[str, dict[float, dict[str, Spread]]] = {}
    for treatment in sorted(measured, key=_by_randomness):
        if measured[treatment]:
            found.setdefault(spaced(shown(treatment[0])), measured[treatment])
    return found


def _strata_grid(measured: dict[Treatment, dict[float, dict[str, Spread]]]) -> list[Grid]:
    body = [
        [spaced(shown(treatment[0])), shown(treatment[1]), number(stratum)]
        + [interval(found[name]) for name in _STRATUM]
        for treatment, strata in measured.items()
        for stratum, found in strata.items()
    ]
    columns = ["the row becomes", "side", "stratum, 0 the most frequent", *_STRATUM.values()]
    return [Grid(columns, body, title="Damage by stratum of the token")] if body else []
