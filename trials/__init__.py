"""The science: kinds of trials on embedding matrices. Knows arrays and models, never sweeps.

`KINDS` is the table of built-in kinds. An outside package adds one through the entry-point group
`sweeper.trials` (name -> object reference to a `TrialKind`).
"""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trials.api import TrialKind

KINDS = {
    "pursuit": "trials.pursuit:KIND",
}

ENTRY_POINT_GROUP = "sweeper.trials"


def kind_names() -> tuple[str, ...]:
    """Names of all kinds, built-in and from installed packages, without importing them."""
    return tuple(sorted({*KINDS, *(point.name for point in _entry_points())}))


def load_kind(name: str) -> TrialKind:
    """The kind of that name; KeyError if there is none."""
    if name in KINDS:
        module, _, attribute = KINDS[name].partition(":")
        kind: TrialKind = getattr(importlib.import_module(module), attribute)
        return kind
    for point in _entry_points():
        if point.name == name:
            loaded: TrialKind = point.load()
            return loaded
    raise KeyError(name)


def _entry_points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINT_GROUP))
