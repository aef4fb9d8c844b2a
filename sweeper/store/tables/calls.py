"""Calls of `table('NAME')` and `table('NAME', CONDITION)` in the text of a query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sweeper.errors import UserError

# What stands in quotes or is commented out; then a call.
_PART = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|(?P<call>\btable\s*\()",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"\s*'((?:[^']|'')*)'\s*")


class TableCall(NamedTuple):
    """A relation that a query names.

    Attributes:
        name: the table's, the file name without its ending.
        condition: which trials it is of, as a filter on `trials`; "" for all.
        relation: the name by which the rewritten query calls it.
    """

    name: str
    condition: str
    relation: str


def without_calls(text: str) -> tuple[str, list[TableCall]]:
    """The query with each call replaced by the name of a relation, and the relations.

    Raises:
        UserError: a call does not begin with a name in quotes, or is not closed.
    """
    calls: list[TableCall] = []
    parts: list[str] = []
    at = 0
    while (found := _next_call(text, at)) is not None:
        begin, inside = found
        end = _closing(text, inside)
        named = _NAME.match(text, inside, end)
        rest = text[named.end() : end] if named else ""
        if named is None or (rest and not rest.startswith(",")):
            raise UserError(
                f"table({text[inside:end].strip()}) names no table",
                where="query",
                hint="as in table('NAME') or table('NAME', CONDITION ON TRIALS)",
            )
        call = TableCall(named[1].replace("''", "'"), rest[1:].strip(), f"table {len(calls) + 1}")
        calls.append(call)
        parts += [text[at:begin], f'"{call.relation}"']
        at = end + 1
    return "".join([*parts, text[at:]]), calls


def _next_call(text: str, at: int) -> tuple[int, int] | None:
    """Where the next call begins, and where its arguments do."""
    for match in _PART.finditer(text, at):
        if match["call"]:
            return match.start(), match.end()
    return None


def _closing(text: str, at: int) -> int:
    """The position of the parenthesis that closes the one before `at`."""
    depth = 1
    for position, character in _outside_quotes(text, at):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if not depth:
            return position
    raise UserError("table( is not closed", where="query")


def _outside_quotes(text: str, at: int) -> Iterator[tuple[int, str]]:
    quoted = [match.span() for match in _PART.finditer(text, at) if not match["call"]]
    for position in range(at, len(text)):
        if not any(begin <= position < end for begin, end in quoted):
            yield position, text[position]
