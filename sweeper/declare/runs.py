"""Field values that are artifacts of other trials: `{runs: SWEEP, where: {...}, artifact: step-*}`.

Such an entry stands for `run:RUN_ID/step-000500` and the like, one for each artifact of each
complete trial of a sweep that has the values under `where`. Under `space` it is a list; under
`fixed` and in a case it must be one value, or `join` makes one text of them. What it stands for is
known when the sweep starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from sweeper.declare.document import Document, KeyPath, shown
from sweeper.declare.validation import Declared, build
from sweeper.errors import UserError, nearest
from sweeper.records import Scalar
from trials.api import TrialKind

_KEY = "runs"


class RunsOf(Declared):
    """Artifacts of the trials of a sweep.

    Attributes:
        runs: name of the sweep.
        where: config fields and the values they must have.
        artifact: name without ending, `*` for any part.
        tensor: which of the artifact's tensors; the first of its kind by default.
        pick: all of a trial's artifacts of that name, or the first or last by name.
        join: all of them as one text, separated by spaces, for fields that take several.
    """

    runs: str
    where: dict[str, Scalar] = {}
    artifact: str = "step-*"
    tensor: str = ""
    pick: Literal["all", "first", "last"] = "all"
    join: bool = False


FindRuns = Callable[[RunsOf, str], Sequence[str]]
"""The URIs that an entry stands for; the text says where it was given."""


def stand_in(wanted: RunsOf, where: str) -> Sequence[str]:
    """A placeholder of the right form, to validate a sweep without a store."""
    name = wanted.artifact.replace("*", "000001")
    return [f"run:RUN_ID/{name}" + (f"#{wanted.tensor}" if wanted.tensor else "")]


def check_where(document: Document, kinds: Mapping[str, TrialKind]) -> None:
    """Raise UserError if an entry asks for a field that the trials of its sweep do not have.

    `kinds` are those of the sweeps whose files are known, by name of the sweep.
    """
    for path, entry in run_entries(document).items():
        wanted = build(RunsOf, entry, document.where, path)
        if (kind := kinds.get(wanted.runs)) is None:
            continue
        fields = kind.config.model_fields
        for name in wanted.where:
            if name.partition(".")[0] not in fields:
                what = f"trials of '{wanted.runs}' have no field '{name}'"
                at = document.where((*path, "where", name))
                raise UserError(what, where=at, hint=nearest(name, fields))


def run_entries(document: Document) -> dict[KeyPath, dict[str, Any]]:
    """Every such entry of a document, by its place."""
    return {path: entry for path, entry, _ in _entries(document.values)}


def with_runs(document: Document, find: FindRuns) -> Document:
    """The document with every such entry replaced by what it stands for."""
    for path, entry, is_list in list(_entries(document.values)):
        at = document.where(path)
        wanted = build(RunsOf, entry, document.where, path)
        found = list(find(wanted, at))
        if wanted.join:
            found = [" ".join(found)]
        if not is_list and len(found) != 1:
            what = f"{shown(entry)} stands for {len(found)} values; one is needed"
            raise UserError(what, where=at, hint="narrow where, or pick first or last")
        document = _replaced(document, path, found if is_list else found[0])
    return document


def _entries(values: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any], bool]]:
    """Place, entry, and whether a list may stand there."""
    for section in ("fixed", "space"):
        fields = values.get(section)
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if _is_entry(value):
                yield (section, name), value, section == "space"
    cases = values.get("cases")
    for n, case in enumerate(cases if isinstance(cases, list) else ()):
        for name, value in case.items() if isinstance(case, dict) else ():
            if _is_entry(value):
                yield ("cases", n, name), value, False


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and _KEY in value


def _replaced(document: Document, path: KeyPath, value: Any) -> Document:
    if path[0] != "cases":
        section = dict(document.values[str(path[0])]) | {str(path[1]): value}
        values = document.values | {str(path[0]): section}
    else:
        _, n, name = path
        cases = list(document.values["cases"])
        cases[int(n)] = cases[int(n)] | {str(name): value}
        values = document.values | {"cases": cases}
    return Document(document.origin, values, document.places)
