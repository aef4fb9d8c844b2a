"""What every page shares: templates with escaping on, and plotly.js inside the page.

`vendor` holds plotly.js's basic bundle as published (npm, `plotly.js-basic-dist-min`, MIT licence):
the Python package carries only the full one, which is four times as large.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TRACES = ("scatter", "bar")
"""The trace types that pages use; the basic bundle draws these and `pie`."""

_HERE = Path(__file__).parent


def environment(*folders: Path) -> Environment:
    """Templates of `folders`, which may include those of this one."""
    return Environment(
        loader=FileSystemLoader([*folders, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def plotly_js() -> Markup:
    """plotly.js, ready for a script element."""
    return Markup((_HERE / "vendor/plotly-basic.min.js").read_text(encoding="utf-8"))


def script_json(text: str) -> Markup:
    """JSON that is safe inside a script element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
