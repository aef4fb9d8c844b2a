"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

SWEEP = click.argument("sweep", metavar="SWEEP")
SWEEPS = click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Override a field (repeatable).",
)
TRIALS = click.option("--trials", type=click.IntRange(1), help="How many proposals to evaluate.")
STORE = click.option(
    "--store", metavar="DIR|URI", help="Where results live (default: ./results, or SWEEPER_STORE)."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
COLUMNS = click.option("--columns", metavar="A,B,...", help="Show these columns.")
ALL_COLUMNS = click.option("--all", "every", is_flag=True, help="Show every column.")
INPUTS = click.option(
    "--inputs",
    type=click.Choice(["latest", "all"]),
    default="latest",
    show_default=True,
    help="Where an input was replaced or the kind has a new version: the newest trials, or all, "
    "each version apart.",
)


def output(default: str) -> Callable[[Any], Any]:
    """`-o FILE`: where a command writes its page."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path(default),
        show_default=True,
    )
