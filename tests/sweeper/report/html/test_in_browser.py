"""The page's script in a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sweeper.declare.search import Bounds, Objective, Search
from sweeper.report.html.page import ReportedSweep, write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), "")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not BROWSER, reason="chromium is not installed"),
]

TRY_THE_TABLE = """
const box = document.querySelector("[data-table=trials-1]");
const cells = (at) => [...box.querySelectorAll("tbody tr")].map((row) => row.cells[at].textContent);
const heads = () => [...box.querySelectorAll("thead th")];
const column = (title) => heads().findIndex((head) => head.textContent === title);
const search = box.querySelector("input[type=search]");
const type = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
const shown = () => box.querySelector(".shown").textContent;
const found = { first: [shown(), cells(0).length] };
box.querySelector(".next").click();
found.second = [shown(), cells(0).length];
box.querySelector(".next").click();
found.last = [shown(), box.querySelector(".next").disabled];
heads()[column("loss")].querySelector("button").click();
found.least = [shown(), cells(column("loss"))[0], heads()[column("loss")].ariaSort];
heads()[column("loss")].querySelector("button").click();
found.largest = [cells(column("loss"))[0], heads()[column("loss")].ariaSort];
type("gaussian 10X");
const distinct = (title) => [...new Set(cells(column(title)))];
found.filtered = [shown(), distinct("size"), distinct("null")];
type("no such trial");
found.none = shown();
type("");
found.fewer = column("score");
box.querySelector(".all input").click();
found.more = column("score") > 0;
"""

LOOK_AT_THE_CHARTS = """
found.scopes = heads().every((head) => head.scope === "col");
found.width = document.documentElement.scrollWidth <= innerWidth;
dispatchEvent(new Event("beforeprint")); // draws every chart, near the screen or not
const isDrawn = (plot) => plot.querySelectorAll(".main-svg").length > 0;
found.charts = [...document.querySelectorAll(".plot")].map(isDrawn);
const pre = document.createElement("pre");
document.body.append(Object.assign(pre, { id: "found", textContent: JSON.stringify(found) }));
"""


def in_browser(page: Path, script: str) -> dict:
    """What `script` found on the page; errors of any script fail."""
    guard = 'addEventListener("error", (event) => document.title = "FAILED " + event.message);'
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head><script>{guard}</script>", 1)
    tried = page.with_name("tried.html")
    tried.write_text(
        text.replace("</body>", f"<script>{{ {script} }}</script></body>"), encoding="utf-8"
    )
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={page.parent / 'browser'}", "--virtual-time-budget=20000"]
    command += ["--window-size=500,8000", tried.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "<title>FAILED" not in dom, re.search(r"<title>(.*?)</title>", dom)[1]
    return json.loads(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1])


def test_the_table_pages_sorts_and_filters_and_every_chart_is_drawn(
    tmp_path, kind, make_row
) -> None:
    rows = [
        make_row(
            ("2x", "10x")[i % 2],
            (i + 1) / 200,
            ("none", "gaussian")[i // 60],
            metrics={"loss": 0.5 + i, "l0": 200.0 - i, "bits": -float(i), "score": 1e-5},
            started_ms=i,
        )
        for i in range(120)
    ]
    search = Search(
        method="optuna",
        objectives=(Objective(metric="loss", direction="minimise"),),
        constraints={"l0": Bounds(max=160)},
    )
    sweep = ReportedSweep("toys", kind, rows, search=search, rate_fields=lambda a, v: {"size": 1.0})
    found = in_browser(
        write_report(tmp_path / "report.html", [sweep]), TRY_THE_TABLE + LOOK_AT_THE_CHARTS
    )
    charts = found.pop("charts")
    assert len(charts) >= 5
    assert all(charts)
    assert found == {
        "first": ["1 to 50 of 120", 50],
        "second": ["51 to 100 of 120", 50],
        "last": ["101 to 120 of 120", True],
        "least": ["1 to 50 of 120", "0.5", "ascending"],
        "largest": ["119.5", "descending"],
        "filtered": ["1 to 30 of 30 (120 in all)", ["10x"], ["gaussian"]],
        "none": "no row matches",
        "fewer": -1,
        "more": True,
        "scopes": True,
        "width": True,
    }
