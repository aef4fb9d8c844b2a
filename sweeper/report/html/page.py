"""One self-contained HTML page about some sweeps; it needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sweeper.declare.search import Search, default_search
from sweeper.records import TrialRow, TrialState
from sweeper.report.contrast import contrasts, overall
from sweeper.report.final_table import SettingsTable, settings_table
from sweeper.report.html.effect_figure import draw_effects
from sweeper.report.html.figures import draw
from sweeper.report.html.findings import Finding, findings
from sweeper.report.html.placement import as_difference, placements
from sweeper.report.listing import certified
from sweeper.report.matched import MatchedPair, matched_pairs
from sweeper.report.summary import headline_metrics, varying_fields
from sweeper.report.words import comparison_title, natural, number, seconds, shown, spaced
from sweeper.store.versions import Inputs, Standing, of_sweep, one_per_key
from trials.api import Comparison, Metric, TrialKind


@dataclass(frozen=True)
class ReportedSweep:
    """A sweep and its trials, as the page needs them.

    `text` is the sweep file as it was submitted. `search` ranks the settings (default: the kind's
    objective) over `seeds` (default: the largest number of seeds that a setting has). Trials of
    earlier inputs are left out unless `inputs` is "all", which shows them separately.
    """

    name: str
    kind: TrialKind
    rows: Sequence[TrialRow]
    description: str = ""
    text: str = ""
    search: Search | None = None
    seeds: Sequence[int] | None = None
    inputs: Inputs = "latest"

    @property
    def standing(self) -> Standing:
        """Its trials, each key once, and how many were left out."""
        return of_sweep(one_per_key(self.rows), self.inputs)


class Plot(NamedTuple):
    """A chart with its title. `figure` is JSON, or empty; then `note` says why."""

    title: str
    caption: str
    figure: Markup
    note: str


class Column(NamedTuple):
    """A column of the table of trials; `more` hides it until the reader asks for all metrics."""

    title: str
    numeric: bool = False
    more: bool = False


class Cell(NamedTuple):
    """The text of a cell, and its sort key."""

    text: str
    sort: float | str


class SweepSection(NamedTuple):
    """Everything that the template shows of one sweep."""

    sweep: ReportedSweep
    findings: list[Finding]
    plots: list[Plot]
    settings: SettingsTable
    columns: list[Column]
    trials: list[list[Cell]]
    troubles: list[tuple[str, str, str, str]]
    headline: list[Metric]
    others: list[Metric]
    provenance: list[tuple[str, str]]


def write_report(path: Path, sweeps: Sequence[ReportedSweep]) -> Path:
    """Write the page. A trial that several submissions share counts once in a sweep."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ", ".join(sweep.name for sweep in sweeps)
    page = environment.get_template("report.html").render(
        title=f"Sweep {names}" if len(sweeps) == 1 else f"Sweeps {names}",
        sections=[sweep_section(sweep) for sweep in sweeps],
        as_of=latest([row for sweep in sweeps for row in sweep.rows]),
        plotly=Markup(get_plotlyjs()),
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
    columns, trials = _trials(rows, kind, key_metrics)
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
        plots=[*_plots(rows, kind, pairs), *_placement_plots(kind, placed)],
        settings=settings_table(rows, kind, search),
        columns=columns,
        trials=trials,
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
        Plot(chart.title, chart.caption, figure_json(drawn.figure), drawn.note)
        for chart in kind.charts
        for drawn in [draw(chart, rows, kind)]
    ]
    compared = [
        Plot(_effect_title(comparison), _effect_caption(comparison), figure_json(figure), "")
        for comparison, paired in pairs.items()
        if kind.control
        and (figure := draw_effects(contrasts(paired, comparison), kind.control, comparison, kind))
    ]
    return [*plots[:1], *compared[:1], *plots[1:], *compared[1:]]


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
    title = f"Between the null and {kind.control.claim}: {comparison_title(comparison)}"
    caption = (
        f"0: real is as the null. 1: as the control with {kind.control.claim}. Both are "
        f"interpolated at the {spaced(comparison.at)} of the real trial."
    )
    return [Plot(title, caption, figure_json(figure), "")]


def _effect_title(comparison: Comparison) -> str:
    verb = "over" if comparison.shown == "ratio" else "minus"
    return f"Real {verb} null: {comparison_title(comparison)}"


def _effect_caption(comparison: Comparison) -> str:
    of, at = spaced(comparison.of), spaced(comparison.at)
    verb, neutral = ("over", 1) if comparison.shown == "ratio" else ("minus", 0)
    return (
        f"{of} of each real setting {verb} the null's at the same {at}, interpolated on the null's "
        f"curve. Below {neutral} the real value is lower. Bars: 95 % interval over seeds."
    )


def figure_json(figure: Any) -> Markup:
    """The figure as JSON that is safe inside a script element."""
    if figure is None:
        return Markup("")
    text = figure.to_json()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _key_metrics(kind: TrialKind, search: Search) -> set[str]:
    charted = {name for chart in kind.charts for name in (chart.x, chart.y)}
    return {*headline_metrics(kind, search), *(charted & set(kind.metric_names))}


def _trials(
    rows: Sequence[TrialRow], kind: TrialKind, key_metrics: set[str]
) -> tuple[list[Column], list[list[Cell]]]:
    fields = varying_fields(rows, kind)
    present = {name for row in rows for name in row.metrics}
    metrics = [metric for metric in kind.metrics if metric.name in present]
    metrics.sort(key=lambda metric: metric.name not in key_metrics)
    columns = [
        *(Column(spaced(name)) for name in fields),
        Column("state"),
        Column("certified"),
        *(Column(_with_unit(m), True, m.name not in key_metrics) for m in metrics),
        Column("time", True),
        Column("run id"),
    ]
    body = [
        [
            *(Cell(shown(value := row.params.get(name)), _sortable(value)) for name in fields),
            Cell(row.state, row.state),
            Cell(certified(row), certified(row)),
            *(_number(row.metrics.get(metric.name)) for metric in metrics),
            Cell(seconds(row.duration_s), row.duration_s),
            Cell(row.run_id, row.run_id),
        ]
        for row in rows
    ]
    return columns, body


def _number(value: float | None) -> Cell:
    known = value is not None and value == value  # NaN is not itself
    return Cell(number(value), value if known and value is not None else "")


def _sortable(value: Any) -> float | str:
    group, leading, text = natural(value)
    return leading if group == 0 else text


def _with_unit(metric: Metric) -> str:
    return f"{spaced(metric.name)} ({metric.unit})" if metric.unit else spaced(metric.name)


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
