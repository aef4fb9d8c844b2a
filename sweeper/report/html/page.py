"""One self-contained HTML page about some sweeps; it needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup

from sweeper.declare.search import Search, default_search
from sweeper.records import TrialRow, TrialState
from sweeper.report.contrast import contrasts, overall
from sweeper.report.final_table import SettingsTable, settings_table
from sweeper.report.html.effect_figure import draw_effects, is_crowded
from sweeper.report.html.figures import draw
from sweeper.report.html.findings import Finding, findings
from sweeper.report.html.placement import as_difference, placements
from sweeper.report.html.search_figures import RateFields, search_figures
from sweeper.report.html.template import environment, plotly_js, script_json
from sweeper.report.html.trials_table import settings_json, trials_json
from sweeper.report.matched import MatchedPair, matched_pairs
from sweeper.report.summary import headline_metrics
from sweeper.report.words import (
    comparison_heading,
    natural,
    title_of,
)
from sweeper.store.versions import Inputs, Standing, of_sweep, one_per_key
from trials.api import Comparison, Metric, TrialKind


@dataclass(frozen=True)
class ReportedSweep:
    """A sweep and its trials, as the page needs them.

    `text` is the sweep file as it was submitted. `search` ranks the settings (default: the kind's
    objective) over `seeds` (default: the largest number of seeds that a setting has). Trials of
    earlier inputs are left out unless `inputs` is "all", which shows them separately. `rate_fields`
    computes how important each searched field is; without it the page does not say.
    """

    name: str
    kind: TrialKind
    rows: Sequence[TrialRow]
    description: str = ""
    text: str = ""
    search: Search | None = None
    seeds: Sequence[int] | None = None
    inputs: Inputs = "latest"
    rate_fields: RateFields | None = None

    @property
    def standing(self) -> Standing:
        """Its trials, each key once, and how many were left out."""
        return of_sweep(one_per_key(self.rows), self.inputs)


class Plot(NamedTuple):
    """A chart with its title. `figure` is JSON; `described` is for who cannot see it."""

    title: str
    caption: str
    figure: Markup
    described: str = ""


class SweepSection(NamedTuple):
    """Everything that the template shows of one sweep."""

    sweep: ReportedSweep
    findings: list[Finding]
    plots: list[Plot]
    settings: SettingsTable
    all_settings: Markup
    trials: Markup
    troubles: list[tuple[str, str, str, str]]
    headline: list[Metric]
    others: list[Metric]
    provenance: list[tuple[str, str]]


def write_report(path: Path, sweeps: Sequence[ReportedSweep]) -> Path:
    """Write the page. A trial that several submissions share counts once in a sweep."""
    names = ", ".join(sweep.name for sweep in sweeps)
    page = (
        environment()
        .get_template("report.html")
        .render(
            title=f"Sweep {names}" if len(sweeps) == 1 else f"Sweeps {names}",
            sections=[sweep_section(sweep) for sweep in sweeps],
            as_of=latest([row for sweep in sweeps for row in sweep.rows]),
            plotly=plotly_js(),
        )
    )
    path.write_text(page, encoding="utf-8")
    return path


def sweep_section(sweep: ReportedSweep) -> SweepSection:
    """Compute what the page shows of one sweep."""
    standing = sweep.standing
    kind, rows = sweep.kind, standing.rows
    search = sweep.search or default_search(kind)
    pairs = {
        comparison: matched_pairs(rows, control, comparison)
        for control in filter(None, [kind.control])
        for comparison in control.comparisons
    }
    found = {comparison: overall(paired, comparison) for comparison, paired in pairs.items()}
    headline = next(iter(pairs), None)
    placed = placements(pairs[headline], kind.control) if headline and kind.control else []
    key_metrics = _key_metrics(kind, search)
    settings = settings_table(rows, kind, search, titled=True)
    return SweepSection(
        sweep=sweep,
        findings=findings(
            rows,
            found,
            kind,
            search,
            placed=overall(placed, as_difference(headline)) if headline else (),
            seeds=sweep.seeds,
            left_out=standing.notes(),
        ),
        plots=[
            *_search_plots(rows, kind, search, sweep.rate_fields),
            *_plots(rows, kind, pairs),
            *_placement_plots(kind, placed),
        ],
        settings=settings,
        all_settings=settings_json(settings, kind),
        trials=trials_json(rows, kind, key_metrics) if rows else Markup(""),
        troubles=[
            (row.label, row.run_id, row.state, row.error or row.uncertified)
            for row in rows
            if row.state is TrialState.FAILED or row.uncertified
        ],
        headline=[metric for metric in kind.metrics if metric.name in key_metrics],
        others=[metric for metric in kind.metrics if metric.name not in key_metrics],
        provenance=_provenance(rows),
    )


def _plots(
    rows: Sequence[TrialRow], kind: TrialKind, pairs: Mapping[Comparison, list[MatchedPair]]
) -> list[Plot]:
    """The kind's charts; the headline comparison follows the first, the others come last."""
    plots = [
        plot(chart.title, " ".join(filter(None, (chart.caption, drawn.note))), drawn.figure)
        for chart in kind.charts
        for drawn in [draw(chart, rows, kind)]
        if drawn.figure is not None
    ]
    compared = [
        plot(
            _effect_title(comparison, kind),
            _effect_caption(comparison, kind, is_crowded(found, kind.control)),
            figure,
        )
        for comparison, paired in pairs.items()
        if kind.control
        for found in [contrasts(paired, comparison)]
        if (figure := draw_effects(found, kind.control, comparison, kind))
    ]
    return [*plots[:1], *compared[:1], *plots[1:], *compared[1:]]


def _search_plots(
    rows: Sequence[TrialRow], kind: TrialKind, search: Search, rate_fields: RateFields | None
) -> list[Plot]:
    """How the search went; none for a grid, which chooses nothing."""
    if search.method == "grid":
        return []
    return [plot(*drawn) for drawn in search_figures(rows, kind, search, rate_fields)]


def _placement_plots(kind: TrialKind, placed: Sequence[MatchedPair]) -> list[Plot]:
    """Where real lies between nulls and positive controls, by the headline comparison."""
    if kind.control is None or not placed:
        return []
    comparison = as_difference(kind.control.comparisons[0])
    name = f"share of the way to {kind.control.claim}"
    found = contrasts(placed, comparison)
    figure = draw_effects(found, kind.control, comparison, kind, name=name)
    if figure is None:
        return []
    title = f"Between the null and {kind.control.claim}: {comparison_heading(comparison, kind)}"
    caption = (
        f"0: real is as the null. 1: as the control with {kind.control.claim}. Both are "
        f"interpolated at the {title_of(kind, comparison.at)} of the real trial."
    )
    return [plot(title, caption, figure)]


def _effect_title(comparison: Comparison, kind: TrialKind) -> str:
    verb = "over" if comparison.shown == "ratio" else "minus"
    return f"Real {verb} null: {comparison_heading(comparison, kind)}"


def _effect_caption(comparison: Comparison, kind: TrialKind, crowded: bool) -> str:
    of, at = title_of(kind, comparison.of), title_of(kind, comparison.at)
    verb, neutral = ("over", 1) if comparison.shown == "ratio" else ("minus", 0)
    sentence = (
        f"{of} of each real setting {verb} the null's at the same {at}, interpolated on the null's "
        f"curve. Below {neutral} the real value is lower. "
    )
    sentence += (
        "Medians of neighbouring settings; bars: 10th to 90th percentile."
        if crowded
        else "Bars: 95 % interval over seeds."
    )
    return sentence[0].upper() + sentence[1:]


def plot(title: str, caption: str, figure: go.Figure) -> Plot:
    """A figure with its title, ready for the template."""
    axes = [figure.layout[name].title.text for name in ("yaxis", "xaxis")]
    described = f"{title}. Chart of " + " against ".join(filter(None, axes))
    return Plot(title, caption, script_json(figure.to_json()), described if any(axes) else title)


def _key_metrics(kind: TrialKind, search: Search) -> set[str]:
    charted = {name for chart in kind.charts for name in (chart.x, chart.y)}
    return {*headline_metrics(kind, search), *(charted & set(kind.metric_names))}


def _provenance(rows: Sequence[TrialRow]) -> list[tuple[str, str]]:
    """Each recorded name with its distinct values."""
    names = sorted({name for row in rows for name in (*row.provenance, *row.facts)})
    gathered = []
    for name in names:
        values = {row.provenance.get(name) or row.facts.get(name, "") for row in rows} - {""}
        listed = sorted(values, key=natural)
        more = f" … ({len(listed)} values)" if len(listed) > 4 else ""
        gathered.append((name, " · ".join(listed[:4]) + more))
    return gathered


def latest(rows: Sequence[TrialRow]) -> str:
    """The time of the newest result, in words."""
    newest_ms = max((max(row.started_ms, row.ended_ms) for row in rows), default=0)
    if not newest_ms:
        return "no results yet"
    return datetime.fromtimestamp(newest_ms / 1000, UTC).strftime(
        "results as of %d %B %Y, %H:%M UTC"
    )
