"""How much of the damage of changed rows fine-tuning brings back, compared with its null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from study.report.figures import draw_recovery
from study.report.null_comparison import by_seed, interval, metric_of
from study.report.trial_groups import TrialFiles
from sweeper.records import Scalar, TrialRow
from sweeper.report.artifact_table import as_number
from sweeper.report.contrast import Spread, spread
from sweeper.report.tables import Grid
from sweeper.report.words import MISSING, number, plural, shown, spaced

_RECOVERED = {
    "recovered_as_input_frac_held_out": "as input",
    "recovered_as_target_frac_held_out": "as output",
    "recovered_frac_held_out": "in sequences with the token",
}
BY_STEP = (
    "How much of the damage fine-tuning undoes",
    "Held-out text, all strata. 1: as good as the null, which was fine-tuned without a changed "
    "row. Bars: 95 % interval over seeds, with two or more.",
)
"""Title and caption of `recovery_figure`."""
_TRAINED = {"row": "the row alone", "body": "all but the row", "all": "everything"}

Treatment = tuple[Scalar, ...]
"""What was done to the row, and the training after it: draw, scope, regime and steps."""


def recovery_sentences(treatments: Mapping[Treatment, Sequence[TrialRow]]) -> list[str]:
    """How much of the damage fine-tuning undoes, and when, by what is trained."""
    found = []
    for (draw, scope, regime, steps), rows in treatments.items():
        back = over_seeds(rows, "recovered_frac_held_out")
        if steps and back.n:
            found.append(
                f"Fine-tuning {_TRAINED.get(str(regime), shown(regime))} for {shown(steps)} steps "
                f"undoes {interval(back)} of the damage by {spaced(shown(draw))} ({shown(scope)}; "
                f"{plural(back.n, 'seed')}; {over_tokens(rows, 'recovered_frac_held_out')} over "
                f"tokens). {_timing(rows)}"
            )
    return found or ["Recovery was not measured: n_steps is 0 in every trial."]


def _timing(rows: Sequence[TrialRow]) -> str:
    if not over_seeds(rows, "null_rise_held_out").n:  # before version 8 of the kind
        return "There was no null: this includes what the model gains by training in any case."
    return f"Half is back {_when(rows, 50)}, nine tenths {_when(rows, 90)}."


def _when(rows: Sequence[TrialRow], percent: int) -> str:
    """After how many steps that share is back on validation text, over the seeds that reach it."""
    steps = by_seed(rows, metric_of(f"steps_to_{percent}"))
    reached = [value for value in steps.values() if math.isfinite(value)]
    n_seeds = len({row.params.get("seed") for row in rows})
    if not reached:
        return "in no seed by then"
    low, high = min(reached), max(reached)
    after = f"after {number(low)}" if low == high else f"after {number(low)} to {number(high)}"
    after += " steps"
    return after if len(reached) == n_seeds else f"{after} (in {len(reached)} of {n_seeds} seeds)"


def recovery_grid(treatments: Mapping[Treatment, Sequence[TrialRow]]) -> list[Grid]:
    """The recovered shares of each treatment, and what the null does."""
    body = [
        [
            spaced(shown(draw)),
            shown(scope),
            f"{_TRAINED.get(str(regime), shown(regime))}, {shown(steps)} steps",
            *(interval(over_seeds(rows, name)) for name in _RECOVERED),
            over_tokens(rows, "recovered_frac_held_out"),
            interval(over_seeds(rows, "null_rise_held_out")),
        ]
        for (draw, scope, regime, steps), rows in treatments.items()
        if steps
    ]
    columns = ["the row becomes", "side", "trained", *_RECOVERED.values()]
    columns += ["the same, over tokens", "null's rise of the loss (nats)"]
    title = "Share of the damage that fine-tuning undoes (held-out text)"
    return [Grid(columns, body, title=title)] if body else []


def recovery_figure(
    treatments: Mapping[Treatment, Sequence[TrialRow]], files: TrialFiles
) -> go.Figure | None:
    """One curve per treatment; None if nothing was fine-tuned."""
    curves = {_named(t): _recovered_by_step(rows, files) for t, rows in treatments.items()}
    return draw_recovery({name: curve for name, curve in curves.items() if curve})


def _recovered_by_step(rows: Sequence[TrialRow], files: TrialFiles) -> dict[float, Spread]:
    """Recovered share of all strata after each measured step, over trials."""
    values: dict[float, list[float]] = {}
    for row in rows:
        for line in files.table(row, "recovery"):
            if line["stratum"] == "all":
                share = as_number(line["recovered_frac"])
                values.setdefault(as_number(line["step"]), []).append(share)
    return {step: spread(values[step]) for step in sorted(values)}


def _named(treatment: Treatment) -> str:
    draw, scope, regime, _ = treatment
    return f"{spaced(shown(draw))}, {shown(scope)}: {_TRAINED.get(str(regime), shown(regime))}"


def over_seeds(rows: Sequence[TrialRow], metric: str) -> Spread:
    """Mean and 95 % interval of a metric over seeds."""
    return spread(by_seed(rows, metric_of(metric)).values())


def over_tokens(rows: Sequence[TrialRow], metric: str) -> str:
    """The interval over the tokens of a trial, its ends averaged over seeds."""
    low, high = (over_seeds(rows, f"{metric}_{end}") for end in ("low", "high"))
    return f"[{number(low.mean, 3)}, {number(high.mean, 3)}]" if low.n else MISSING
