import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from sweeper.declare.search import Bounds, Objective, Search
from sweeper.records import TrialState
from sweeper.report.html.page import ReportedSweep, write_report
from sweeper.report.html.template import plotly_js
from trials.api import Metric

HOSTILE = "</script><img src=http://evil.test/x onerror=alert(1)>\"'&"


class Page(HTMLParser):
    """Elements with their attributes, text by element, and the JSON of the figures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: list[dict] = []
        self.tables: dict[str, dict] = {}
        self._inside = ("", {})
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._inside = (tag, dict(attrs))
        self.elements.append(self._inside)

    def handle_endtag(self, tag):
        self._inside = ("", {})

    def handle_data(self, data):
        tag, attributes = self._inside
        if attributes.get("type") == "application/json":
            given = json.loads(data)
            if "columns" in given:
                self.tables[attributes["id"]] = given
            else:
                self.figures.append(given)
        elif tag not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def read(tmp_path, kind):
    def read(rows, sweep_kind=kind, **more) -> Page:
        sweep = ReportedSweep("toys", sweep_kind, rows, **more)
        return Page(write_report(tmp_path / "report.html", [sweep]).read_text(encoding="utf-8"))

    return read


def test_the_page_loads_nothing_from_anywhere(read, power_law_rows) -> None:
    page = read(power_law_rows)
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    policy = [a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a]
    assert policy[0].startswith("default-src 'none'")
    assert "http" not in policy[0]


def test_the_page_has_the_style_sheet_and_one_copy_of_plotly(
    tmp_path, power_law_rows, kind
) -> None:
    sweeps = [ReportedSweep(name, kind, power_law_rows) for name in ("one", "two")]
    html = write_report(tmp_path / "report.html", sweeps).read_text(encoding="utf-8")
    assert html.count("plotly.js (basic - minified) v") == 1
    assert "@import" not in re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert len(Page(html).figures) == 8
    ids = [a["id"] for _, a in Page(html).elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_findings_are_computed_from_the_trials(read, power_law_rows) -> None:
    text = read(power_law_rows, description="Is the planted ratio seen?").text
    assert "Does a penalty help? Is the planted ratio seen?" in text
    assert "Best bits -99 bits" in text
    assert "Real vs. null gaussian 0.7 × loss at equal l0, real over null." in text
    assert "bits at equal loss, real minus null: " in text
    assert "over 2 seeds: real is lower." in text
    assert "Single trials: 0.693 to 0.707. 8 of 12 real trials within the null's range." in text
    assert "Trials complete 24 of 24 12 controls among them. None failed, none uncertified." in text


def test_without_replicates_there_is_no_interval(read, power_law_rows) -> None:
    text = read([row for row in power_law_rows if row.params["seed"] == 0]).text
    assert "One seed, so no interval." in text
    assert "seeds: real is" not in text


def test_the_best_is_what_the_sweep_chooses_by(read, power_law_rows) -> None:
    objectives = (Objective(metric="loss", direction="minimise"),)
    bounds = {"bits": Bounds(min=-20.0)}
    search = Search(method="optuna", objectives=objectives, constraints=bounds)
    text = read(power_law_rows, search=search).text
    assert "Best loss 0.2333 [0.204, 0.263] size=10x penalty=0.4 null=none " in text
    assert "Mean over 2 seeds, with the 95 % interval. Within bits >= -20." in text
    tight = search.model_copy(update={"constraints": {"bits": Bounds(min=-5.0)}})
    text = read(power_law_rows, search=tight).text
    assert "Best loss none No setting within bits >= -5. Nearest: size=10x penalty=0.4" in text
    both = (*objectives, Objective(metric="bits", direction="minimise"))
    text = read(power_law_rows, search=search.model_copy(update={"objectives": both})).text
    assert "Best loss and bits 2 settings on the front" in text


def test_failed_and_uncertified_trials_are_listed_with_reasons(read, make_row) -> None:
    rows = [
        make_row(state=TrialState.FAILED, error="no memory left"),
        make_row(penalty=0.2, uncertified="gap too wide", metrics={"bits": -5.0}),
    ]
    text = read(rows).text
    assert "FAILED no memory left" in text
    assert "COMPLETE gap too wide" in text
    assert "Best bits none No complete, certified trial" in text
    assert "1 of 2 1 failed, 1 uncertified." in text


def test_hostile_text_stays_text(read, make_row, kind) -> None:
    metrics = {"l0": 2.0, "loss": 0.5, "bits": 1.0}
    row = make_row(
        size=HOSTILE,
        label=HOSTILE,
        metrics=metrics,
        uncertified=HOSTILE,
        run_id=HOSTILE,
        facts={HOSTILE: HOSTILE},
        provenance={"commit": HOSTILE},
    )
    page = read([row, make_row(size="2x", metrics=metrics)], description=HOSTILE, text=HOSTILE)
    assert {tag for tag, _ in page.elements} & {"img", "iframe"} == set()
    assert all(not name.startswith("on") for _, a in page.elements for name in a)
    assert {HOSTILE} < {v for c in page.tables["trials-1"]["columns"] for v in c.get("values", ())}
    assert page.text.count(HOSTILE) >= 6


def test_figures_are_the_charts_of_the_kind_and_the_ratio(read, power_law_rows) -> None:
    page = read(power_law_rows)
    labels = [a["aria-label"] for _, a in page.elements if a.get("class") == "plot"]
    assert labels == [
        "Loss against l0. Chart of loss against l0 (atoms)",
        "Real over null: loss at equal l0. Chart of loss: real / null against l0 (atoms)",
        "Loss against size. Chart of loss against size",
        "Real minus null: bits at equal loss. Chart of bits: real - null against loss",
    ]
    axes = [figure["layout"]["xaxis"]["title"]["text"] for figure in page.figures]
    assert axes == ["l0 (atoms)", "l0 (atoms)", "size", "loss"]


def test_no_trials_and_no_complete_trials_make_a_page(read, make_row) -> None:
    for rows in ([], [make_row(state=TrialState.FAILED, error="x")]):
        page = read(rows)
        assert page.figures == []
        assert "drawn" not in page.text
        assert "Best bits none" in page.text


def test_a_kind_without_control_or_charts_makes_a_page(read, power_law_rows, plain_kind) -> None:
    page = read(power_law_rows, plain_kind)
    assert page.figures == []
    assert "Real vs." not in page.text
    assert "Best bits" in page.text


def test_the_table_of_trials_has_each_once_with_every_metric(read, power_law_rows) -> None:
    reused = power_law_rows[0].model_copy(update={"run_id": "again", "reused_from": "x"})
    table = read([*power_law_rows, reused]).tables["trials-1"]
    assert table["rows"] == len(power_law_rows)
    columns = {column["title"]: column for column in table["columns"]}
    assert list(columns) == [
        "seed", "size", "penalty", "null", "state", "certified",
        "loss", "l0 (atoms)", "bits", "score", "time (s)", "run id",
    ]  # fmt: skip
    assert columns["size"]["values"] == ["2x", "10x"]  # the index sorts in natural order
    losses = np.frombuffer(base64.b64decode(columns["loss"]["f4"]), "<f4")
    assert sorted(losses) == pytest.approx(sorted(r.metrics["loss"] for r in power_law_rows))
    assert [name for name, c in columns.items() if c["more"]] == ["score"]
    assert columns["l0 (atoms)"]["name"] == "l0"  # what a query calls it


def test_ten_thousand_trials_with_eighty_metrics_fit_in_eight_megabytes(
    tmp_path, kind, make_row
) -> None:
    """What a thousand more take, times ten, and what any page takes."""
    names = [f"metric_{i}" for i in range(76)]
    wide = replace(kind, metrics=(*kind.metrics, *(Metric(n, "", "none", "x") for n in names)))
    rng = np.random.default_rng(0)

    def size(n_trials: int) -> int:
        rows = [
            make_row(
                penalty=rng.random(),
                seed=seed,
                run_id=f"{rng.integers(2**63):032x}",
                metrics=dict(
                    zip(("loss", "l0", "bits", "score", *names), rng.random(80), strict=True)
                ),
            )
            for seed in range(n_trials)
        ]
        page = write_report(tmp_path / "report.html", [ReportedSweep("toys", wide, rows)])
        return page.stat().st_size

    few, many = size(1000), size(2000)
    assert len(plotly_js()) < 1_300_000
    assert few + 9 * (many - few) < 8_000_000


def test_many_settings_are_paged_by_the_page_itself(read, make_row, plain_kind) -> None:
    rows = [
        make_row(penalty=(i + 1) / 400, metrics={"bits": float(i), "loss": 0.5}) for i in range(200)
    ]
    page = read(rows, plain_kind)
    table = page.tables["settings-1"]
    assert (table["rows"], table["sortable"]) == (200, True)
    assert [c["title"] for c in table["columns"]] == ["penalty", "bits"]
    assert "settings-1" not in read(rows[:20], plain_kind).tables


def test_metrics_have_their_declared_titles_everywhere(read, power_law_rows, kind) -> None:
    titled = tuple(
        replace(m, title={"l0": "atoms per token", "bits": "code length"}.get(m.name, ""))
        for m in kind.metrics
    )
    page = read(power_law_rows, replace(kind, metrics=titled))
    assert "Best code length -99 bits" in page.text
    axes = [figure["layout"]["xaxis"]["title"]["text"] for figure in page.figures]
    assert axes == ["atoms per token", "atoms per token", "size", "loss"]
    assert "code length (bits)" in {c["title"] for c in page.tables["trials-1"]["columns"]}
    heads = [text for text in page.texts if text == "code length"]
    assert heads, "the table of settings"


def test_a_keyboard_and_a_screen_reader_find_their_way(read, power_law_rows) -> None:
    page = read(power_law_rows)
    attributes = [(tag, a) for tag, a in page.elements]
    assert all("scope" in a for tag, a in attributes if tag == "th")
    regions = [a for _, a in attributes if (a.get("class") or "").startswith("scroll")]
    assert regions
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in regions)
    assert all(a.get("aria-label") for tag, a in attributes if tag in ("nav", "input") and "type" in
               a and a["type"] != "checkbox")  # fmt: skip
    assert any(a.get("role") == "status" for _, a in attributes)
    ids = {a["id"] for _, a in attributes if "id" in a}
    named = [a[key] for _, a in attributes for key in ("aria-labelledby", "aria-describedby")
             if key in a]  # fmt: skip
    assert named
    assert set(named) <= ids


def test_definitions_provenance_and_the_sweep_file_are_there(read, make_row) -> None:
    rows = [
        make_row(penalty=p, metrics={"bits": 1.0}, provenance={"numpy": v, "commit": "1a8e35b"})
        for p, v in ((0.1, "2.4.1"), (0.2, "2.4.2"))
    ]
    text = read(rows, text="kind: toy\nspace: {}\n").text
    assert "loss (frac) what is left / what there was." in text
    assert "numpy 2.4.1 · 2.4.2" in text
    assert "commit 1a8e35b" in text
    assert "kind: toy space: {}" in text


def test_the_same_trials_give_the_same_bytes(tmp_path, power_law_rows, kind) -> None:
    sweep = ReportedSweep("toys", kind, power_law_rows)
    shuffled = ReportedSweep("toys", kind, power_law_rows[::-1])
    first = write_report(tmp_path / "a.html", [sweep]).read_bytes()
    assert write_report(tmp_path / "b.html", [shuffled]).read_bytes() == first


def test_a_tile_names_no_metric_that_its_trial_lacks(read, make_row) -> None:
    rows = [make_row(metrics={"bits": 1.0, "loss": float("nan"), "l0": 2.0})]
    text = read(rows).text
    assert "With l0 2." in text
    assert "loss –" not in text
