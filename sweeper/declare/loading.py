"""From a sweep file to a validated sweep; every mistake is found before anything starts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper.declare import check
from sweeper.declare.canonical import plain
from sweeper.declare.document import Document, KeyPath, Where, shown
from sweeper.declare.files import SUFFIXES, find
from sweeper.declare.old_words import with_new_words
from sweeper.declare.overrides import Override, apply_overrides, given_value, parse_option
from sweeper.declare.read_space import case_space, read_dimension, whole_cases
from sweeper.declare.reader import parse_document, read_document
from sweeper.declare.runs import FindRuns, check_where, stand_in, with_runs
from sweeper.declare.search import Search, default_search
from sweeper.declare.space import Choice
from sweeper.declare.sweep import Sweep
from sweeper.declare.sweep_file import After, SweepFile
from sweeper.declare.validation import build
from sweeper.errors import UserError, one_line
from sweeper.records import Scalar
from trials import kind_names, load_kind
from trials.api import TrialKind

MAX_PROBED = 2_000
"""Grids up to this size are validated point by point before anything starts."""

Overrides = Sequence[str] | Mapping[str, Any]
"""Changes to a sweep: texts `FIELD=VALUE` of a command line, or values by field."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME_RULE = "at most 100 letters, digits, '.', '_' and '-', a letter or digit first"


def load_sweep(name_or_path: str, *, overrides: Overrides = (), trials: int | None = None) -> Sweep:
    """Read and validate a sweep, by the path of its file or the name of a ready-made one.

    `overrides` are the values of `--set`, or values by name; `trials` is that of `--trials`. The
    sweeps that must run first are read and validated too. Raises `UserError` for the first mistake
    found; nothing has started by then.
    """
    return _load(find(name_or_path), _read_overrides(overrides), trials)


def declare_sweep(
    name: str, keys: Mapping[str, Any], *, overrides: Overrides = (), trials: int | None = None
) -> Sweep:
    """Validate a sweep whose `keys` (those of a sweep file) were given in Python.

    Relative paths start in the current folder. Raises `UserError` as `load_sweep`.
    """
    origin = f"Sweep('{one_line(name, 100)}')"
    if not _NAME.fullmatch(name):
        raise UserError(f"not the name of a sweep; {_NAME_RULE}", where=origin)
    document = Document(origin, plain(dict(keys), origin), {})
    return _resolve(document, Path(f"{name}.yaml"), _read_overrides(overrides), trials)


def _read_overrides(overrides: Overrides) -> list[Override]:
    if isinstance(overrides, Mapping):
        return [given_value(name, value) for name, value in overrides.items()]
    return [parse_option(text) for text in overrides]


def _load(
    found: tuple[Path, str],
    overrides: Sequence[Override],
    trials: int | None = None,
    waiting: tuple[Path, ...] = (),
) -> Sweep:
    """`load_sweep` of a file that was found; the sweeps of the files `waiting` run after it."""
    path, origin = found
    if not _NAME.fullmatch(path.stem):
        raise UserError(f"the file name is the sweep's name; {_NAME_RULE}", where=origin)
    return _resolve(read_document(path, origin), path, overrides, trials, waiting)


def _resolve(
    document: Document,
    path: Path,
    overrides: Sequence[Override],
    trials: int | None = None,
    waiting: tuple[Path, ...] = (),
) -> Sweep:
    """The sweep that a document declares, whose file is or would be at `path`."""
    document = with_new_words(document, say=True)
    if not isinstance(document.get(("kind",)), str):
        build(SweepFile, document.values, document.where)  # names what is wrong with `kind`
    kind = check.known_kind(document.values["kind"], document.where)
    document = apply_overrides(
        document,
        overrides,
        list(kind.config.model_fields),
        list(SweepFile.model_fields),
        _fields_before,
    )
    if trials is not None:
        document = document.set(("trials",), trials, f"--trials {trials}")
    sweep = _validated(document, kind, path.stem)
    _check_distinct(sweep, kind, document.where)
    predecessor = _load_predecessor(document, (*waiting, path.resolve()))
    before = (*predecessor.predecessors, predecessor) if predecessor else ()
    if any(each.name == path.stem and each.kind != kind.name for each in before):
        what = f"the sweep that runs before is named '{path.stem}' too, and is of another kind"
        raise UserError(what, where=_place_of_after(document), hint="rename a file")
    check_where(document, {each.name: load_kind(each.kind) for each in before})
    return sweep.model_copy(update={"predecessor": predecessor})


def with_found_runs(sweep: Sweep, find_runs: FindRuns) -> Sweep:
    """The sweep with its entries `{runs: ...}` replaced by the artifacts that they stand for."""
    if not sweep.open_runs:
        return sweep
    document = with_runs(sweep.document, find_runs)
    resolved = _validated(document, load_kind(sweep.kind), sweep.name)
    return resolved.model_copy(update={"predecessor": sweep.predecessor})


def stored_search(text: str, kind: TrialKind) -> Search:
    """The search of a sweep file's text in the store.

    It is the kind's own objective where there is no text, or where the kind has changed since.
    """
    try:
        file, where = _stored_file(text)
        return check.resolved_search(kind, file.search, where)
    except UserError:
        return default_search(kind)


def stored_seeds(text: str) -> tuple[int, ...] | None:
    """The seeds of a sweep file's text in the store; None where it does not say."""
    try:
        return _stored_file(text)[0].seeds if text else None
    except UserError:
        return None


def _stored_file(text: str) -> tuple[SweepFile, Where]:
    # Nobody can edit the text in the store, so nothing is said about old words in it.
    document = with_new_words(parse_document(text, "stored sweep file"), say=False)
    return build(SweepFile, document.values, document.where), document.where


def _relative_to(name_or_path: str, origin: str) -> str:
    """A path is relative to the folder of the file that names it."""
    is_file = Path(name_or_path).suffix in SUFFIXES
    return str(Path(origin).parent / name_or_path) if is_file else name_or_path


def _load_predecessor(document: Document, waiting: tuple[Path, ...]) -> Sweep | None:
    """The sweep that must run before the document's, which none of those `waiting` may be."""
    if (named := _named_predecessor(document)) is None:
        return None
    after, found = named
    path = found[0].resolve()
    if path in waiting:
        loop = " -> ".join(p.name for p in (*waiting[waiting.index(path) :], path))
        what = f"a sweep cannot run before itself: {loop}"
        raise UserError(what, where=_place_of_after(document))
    overrides = [
        Override(name, value, document.where(("after", "set", name)))
        for name, value in after.set.items()
    ]
    return _load(found, overrides, waiting=waiting)


def _fields_before(document: Document) -> tuple[str, ...]:
    """Config fields of the sweep that runs before; options that name no field here go to it."""
    if (named := _named_predecessor(document)) is None:
        return ()
    _, (path, origin) = named
    kind = read_document(path, origin).get(("kind",))
    return tuple(load_kind(kind).config.model_fields) if kind in kind_names() else ()


def _named_predecessor(document: Document) -> tuple[After, tuple[Path, str]] | None:
    """The entry `after` of a document and the file that it names; None if there is no entry."""
    if document.values.get("after") is None:
        return None
    after = build(After, document.values["after"], document.where, ("after",))
    return after, find(_relative_to(after.sweep, document.origin), _place_of_after(document))


def _place_of_after(document: Document) -> str:
    is_mapping = isinstance(document.values["after"], dict)
    return document.where(("after", "sweep") if is_mapping else ("after",))


def _validated(document: Document, kind: TrialKind, name: str) -> Sweep:
    """The sweep of a document, with stand-ins for entries that are not resolved yet."""
    where = document.where
    declared, document = document, with_runs(document, stand_in)
    file = build(SweepFile, document.values, where)
    if "space" in document.values and not file.space:
        hint = "name a field to vary, or leave space out to run one config"
        raise UserError("space is empty", where=where(("space",)), hint=hint)
    fields = kind.config.model_fields
    cases = whole_cases(file.cases, fields, file.fixed, where)
    joined = case_space(cases)
    fixed = {name: value for name, value in file.fixed.items() if name not in joined}
    check.check_fields(kind, fixed, file.space, joined, where)
    check.check_nulls(kind, file.nulls, fixed, [*joined, *file.space], where)
    check.check_limits(file.limits, file.resources, where)
    crossed = {
        field: read_dimension(given, fields[field].annotation, where, ("space", field))
        for field, given in file.space.items()
    }
    search = check.resolved_search(kind, file.search, where)
    stopping = check.resolved_stopping(kind, file.early_stopping, where)
    n_seeds, n_nulls = len(file.seeds), len(file.nulls)
    check.check_size(search, crossed, len(cases), file.trials, n_seeds, n_nulls, where)
    resolved = {
        "fixed": fixed,
        "cases": cases,
        "space": joined | crossed,
        "search": search,
        "trials": check.MAX_TARGET_TRIALS
        if search.method == "target" and file.trials is None
        else file.trials,
        "early_stopping": stopping,
    }
    sweep = Sweep(**dict(file) | resolved, name=name, document=declared)
    _probe(sweep, kind, where)
    return sweep


def _probe(sweep: Sweep, kind: TrialKind, where: Where) -> None:
    """Build the config at every end of every dimension, the others at their first value.

    A small grid is built whole, since a kind may refuse a combination of values. Every config is
    also built with each null.
    """
    ends = {name: dimension.ends() for name, dimension in sweep.crossed.items()}
    first = {name: of[0] for name, of in ends.items()}
    one_end = [first, *(first | {name: end} for name, of in ends.items() for end in of)]
    probes: Iterator[dict[str, Scalar]] = (
        case | point for case in sweep.cases or ({},) for point in one_end
    )
    if sweep.search.method == "grid" and sweep.grid_size <= MAX_PROBED:
        probes = itertools.chain(probes, sweep.grid())
    for assignment in probes:
        for null in (None, *sweep.nulls):
            sweep.checked_config(kind, assignment, sweep.seeds[0], null, where)


def _check_distinct(sweep: Sweep, kind: TrialKind, where: Where) -> None:
    """No two values of a list are one value to the kind, as `1x` and `1.0x` are."""
    first = {name: dimension.ends()[0] for name, dimension in sweep.space.items()}
    lists: list[list[tuple[KeyPath, Any, dict[str, Scalar]]]] = [
        [(("space", name), value, {name: value}) for value in dimension.values]
        for name, dimension in sweep.crossed.items()
        if isinstance(dimension, Choice)
    ]
    lists.append([(("cases", n), case, case) for n, case in enumerate(sweep.cases)])
    for values in lists:
        seen: dict[str, Any] = {}
        for at, value, given in values:
            config = sweep.checked_config(kind, first | given, sweep.seeds[0], None, where)
            if (resolved := repr(config)) in seen:
                what = f"{shown(seen[resolved])} and {shown(value)} are the same"
                raise UserError(f"{what}; values must be distinct", where=where(at))
            seen[resolved] = value
