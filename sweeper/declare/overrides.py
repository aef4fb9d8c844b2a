"""`--set NAME=VALUE`: changes to a sweep file from the command line.

NAME is, in this order:

1. a field of the kind's config. A list, or a mapping with low, high, choice, grid or text, makes
   the field a dimension of the space; any other value fixes it. Either way the file's own entry for
   the field is replaced. `field.part` changes one part of the entry that the file has, as in
   `l1_penalty.points=9`. Config fields win over keys of the file that have the same name.
2. `space.FIELD` or `fixed.FIELD`, which state the section (for a fixed list, say).
3. a key of the sweep file, or a part of one: `trials`, `seeds`, `search.method`, `resources.gpu`.
4. a field of the sweep that runs before: it goes to `after.set`. If both sweeps
   have the same kind, the option changes both.

VALUE is YAML: a scalar, `[a, b]` or `{low: 1, high: 2}`. Later options win over earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from sweeper.declare.canonical import plain
from sweeper.declare.document import Document, KeyPath
from sweeper.declare.old_words import NEW_WORDS, say_renamed
from sweeper.declare.reader import parse_value
from sweeper.errors import UserError, nearest, one_line

SECTIONS = {"fixed": "space", "space": "fixed"}
"""The two sections that hold config fields, each with the other."""

SHORT_FORMS: dict[str | int, str] = {"search": "method", "after": "sweep"}
"""Keys that may hold one word, and the part that the word stands for."""

DIMENSION_KEYS = {"low", "high", "choice", "grid", "text"}


class Override(NamedTuple):
    """One change to a sweep file, and where it was given."""

    name: str
    value: Any
    place: str

    @property
    def path(self) -> KeyPath:
        """The parts of the name."""
        return tuple(part.strip() for part in self.name.split("."))


def parse_option(option: str) -> Override:
    """The change that `--set` was given as text."""
    place = f"--set {one_line(option, 80)}"
    name, equals, text = option.partition("=")
    if not equals or not all(part.strip() for part in name.split(".")):
        raise UserError("not NAME=VALUE; write field=value", where=place)
    if not text.strip():
        raise UserError("no value after '='; write null, or '' for empty text", where=place)
    return Override(name.strip(), parse_value(text, place), place)


def given_value(name: str, value: Any) -> Override:
    """The change that a Python caller gives as a value."""
    place = f"set {one_line(name, 80)}"
    if not all(part.strip() for part in name.split(".")):
        raise UserError("not the name of a field", where=place)
    return Override(name.strip(), plain(value, place), place)


def apply_overrides(
    document: Document,
    overrides: Sequence[Override],
    fields: Collection[str],
    keys: Collection[str],
    fields_before: Callable[[Document], Collection[str]] = lambda document: (),
) -> Document:
    """The document as the overrides change it.

    `fields` are the fields of the kind's config, `keys` the keys of a sweep file,
    `fields_before` gives the fields of the kind of the sweep that runs before this one.
    """
    keys = [key for key in keys if key != "kind"]
    for override in overrides:
        override = _with_new_word(override, fields)
        names_after = override.path[0] == "after" and "after" not in fields
        others = () if names_after else fields_before(document)
        document = _apply(document, override, fields, keys, others)
        if list(fields) == list(others) and override.path[0] in fields:  # of one kind
            document = _apply(document, override, (), keys, others)
    return document


def _with_new_word(override: Override, fields: Collection[str]) -> Override:
    """The override with an old key of the sweep file renamed; fields of the config come first."""
    old, *rest = override.path
    if old not in NEW_WORDS or old in fields:
        return override
    say_renamed(str(old), override.place)
    return override._replace(name=".".join([NEW_WORDS[str(old)], *map(str, rest)]))


def _apply(
    document: Document,
    override: Override,
    fields: Collection[str],
    keys: Collection[str],
    fields_before: Collection[str],
) -> Document:
    name, value, place = override
    path = override.path
    if path[0] == "kind" and "kind" not in fields:
        raise UserError("the kind of a sweep cannot be changed; copy the file", where=place)
    if path[0] in fields:
        path = (_section(document, path, value), *path)
    elif path[0] in fields_before and path[0] not in keys:
        path = ("after", "set", name)
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
