import ast
import re
from pathlib import Path

from plotly.offline import get_plotlyjs_version

from sweeper.report.html.template import TRACES, plotly_js

PROJECT = Path(__file__).parents[4]


def test_the_bundle_is_the_basic_one_of_the_version_that_plotly_writes_for() -> None:
    version = re.search(r"plotly\.js \(basic - minified\) v([\d.]+)", plotly_js()[:500])[1]
    assert version.split(".")[0] == get_plotlyjs_version().split(".")[0]
    for trace in TRACES:
        assert f'moduleType:"trace",name:"{trace}"' in plotly_js()
    assert "</script" not in plotly_js()


def test_pages_draw_only_traces_that_the_bundle_has() -> None:
    """Every `add_NAME` of a figure and every class of graph_objects in the rooms with pages."""
    known = {f"add_{name}" for name in (*TRACES, "trace", "annotation", "shape", "hline", "vline")}
    classes = {"Figure", "Layout", *(name.capitalize() for name in TRACES)}
    for path in [*(PROJECT / "sweeper/report").rglob("*.py"), *(PROJECT / "study").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            of = ast.unparse(node.value)
            if of == "figure" and node.attr.startswith("add_"):
                assert node.attr in known, f"{path}:{node.lineno}"
            if of == "go":
                assert node.attr in classes, f"{path}:{node.lineno}"
