"""Sweep files that are sound but for one mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

HEAD = """\
kind: toy
fixed:
  source: s
"""
GOOD = f"{HEAD}space:\n  width: [2, 4]\n"


def space(entry: str) -> str:
    """A sound file but for one entry of its space, on line 5."""
    return f"{HEAD}space:\n  {entry}\n"


def tail(text: str) -> str:
    """A sound file of five lines, and then something more."""
    return f"{GOOD}{text}\n"


def optuna(constraints: str) -> str:
    """A sound file that Optuna tunes, but for its constraints on line 6."""
    return tail(f"search: {{method: optuna, constraints: {constraints}}}\ntrials: 3")


def nulled(text: str) -> str:
    """As `tail`, of a kind that has nulls."""
    return tail(text).replace("toy", "nulled").replace("[2, 4]", "[4, 6]")


def cases(*tables: Mapping[str, tuple[str | bytes, str]]) -> list[Any]:
    """Each file of the tables with the line that it gets, by the name of its mistake."""
    return [pytest.param(*case, id=name) for table in tables for name, case in table.items()]
