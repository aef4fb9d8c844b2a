"""`--set NAME=VALUE`: changes to a sweep file from the command line.

NAME is, in this order:

1. a field of the kind's config. A list, or a mapping with low, high, choice, grid or text, makes
   the field a dimension of the space; any other value fixes it. Either way the file's own entry for
   the field is replaced. `field.part` changes one part of the entry that the file has, as in
   `l1_penalty.points=9`. Config fields win over keys of the file that have the same name.
2. `space.FIELD` or `fixed.FIELD`, which say outright which is meant (a fixed list, say).
3. a key of the sweep file, or a part of one: `trials`, `seeds`, `search.method`, `resources.gpu`.
4. a field of the sweep that runs first: it goes to `first.set`. Where both sweeps are of one kind,
   what is set for the one is set for the other too.

VALUE is YAML: a scalar, `[a, b]` or `{low: 1, high: 2}`. Later options win over earlier ones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sweeper.declare.document import Document, KeyPath
from sweeper.declare.reader import parse_value
from sweeper.errors import UserError, nearest, one_line

SECTIONS = {"fixed": "space", "space": "fixed"}
"""The two sections that hold config fields, each with the other."""

SHORT_FORMS: dict[str | int, str] = {"search": "method", "first": "sweep"}
"""Keys that may hold one word, and the part that the word stands for."""

DIMENSION_KEYS = {"low", "high", "choice", "grid", "text"}


def apply_overrides(
    document: Document,
    options: Sequence[str],
    fields: Collection[str],
    keys: Collection[str],
    fields_of_first: Collection[str] = (),
) -> Document:
    """The document as the options change it.

    `fields` are the fields of the kind's config, `keys` the keys of a sweep file,
    `fields_of_first` the fields of the kind of the sweep that runs first.
    """
    keys = [key for key in keys if key != "kind"]
    for option in options:
        document = _apply(document, option, fields, keys, fields_of_first)
        if list(fields) == list(fields_of_first) and _root(option) in fields:  # of one kind
            document = _apply(document, option, (), keys, fields_of_first)
    return document


def _root(option: str) -> str:
    return option.partition("=")[0].partition(".")[0].strip()


def _apply(
    document: Document,
    option: str,
    fields: Collection[str],
    keys: Collection[str],
    fields_of_first: Collection[str],
) -> Document:
    place = f"--set {one_line(option, 80)}"
    name, equals, text = option.partition("=")
    path: KeyPath = tuple(part.strip() for part in name.split("."))
    if not equals or not all(path):
        raise UserError("not NAME=VALUE; write field=value", where=place)
    if not text.strip():
        raise UserError("no value after '='; write null, or '' for empty text", where=place)
    value = parse_value(text, place)
    if path[0] == "kind" and "kind" not in fields:
        raise UserError("the kind of a sweep cannot be changed; copy the file", where=place)
    if path[0] in fields:
        path = (_section(document, path, value), *path)
    elif path[0] in fields_of_first and path[0] not in keys:
        path = ("first", "set", name.strip())
    elif path[0] not in keys:
        what, hint = f"unknown field or key '{path[0]}'", nearest(name, [*fields, *keys])
        raise UserError(what, where=place, hint=hint)
    if len(path) == 2 and path[0] in SECTIONS:
        document = document.drop((SECTIONS[str(path[0])], path[1]))
    if len(path) > 1 and path[0] in SHORT_FORMS and isinstance(document.get(path[:1]), str):
        spelled_out = {SHORT_FORMS[path[0]]: document.get(path[:1])}
        document = document.set(path[:1], spelled_out, document.places[path[:1]])
    return document.set(path, value, place)


def _section(document: Document, path: KeyPath, value: Any) -> str:
    if len(path) > 1:
        return "space" if document.get(("space", path[0])) is not None else "fixed"
    is_range = isinstance(value, dict) and not DIMENSION_KEYS.isdisjoint(value)
    return "space" if is_range or isinstance(value, list) else "fixed"
