"""The dimension that one entry of a sweep file's space stands for."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from sweeper.declare.document import KeyPath, Where, shown
from sweeper.declare.space import Choice, FloatRange, IntRange
from sweeper.declare.validation import build
from sweeper.errors import UserError
from sweeper.records import Scalar


def read_dimension(
    given: Any, annotation: Any, where: Where, at: KeyPath
) -> Choice | IntRange | FloatRange:
    """The dimension that a sweep file declares for a field annotated `annotation`."""
    if isinstance(given, list):
        return _read_choice(given, where, at)
    if not isinstance(given, dict):
        what = f"given {shown(given)}; a space holds lists of values and ranges {{low, high}}"
        raise UserError(what, where=where(at), hint="one value goes under fixed")
    for word in ("choice", "grid"):
        if word not in given:
            continue
        if len(given) > 1 or not isinstance(given[word], list):
            what = f"given {shown(given)}; {word} takes one list and nothing beside it"
            raise UserError(what, where=where(at))
        return _read_choice(given[word], where, (*at, word))
    type_ = given.get("type", _numeric_type(annotation) or _type_of_bounds(given))
    if type_ not in ("int", "float"):
        what = f"given {shown(type_)}; must be int or float"
        raise UserError(what, where=where((*at, "type")))
    if type_ == "int":
        return build(IntRange, given, where, at)
    return build(FloatRange, given, where, at)


def _read_choice(values: list[Any], where: Where, at: KeyPath) -> Choice:
    for n, value in enumerate(values):
        if not isinstance(value, Scalar):
            what = f"given {shown(value)}; a choice holds plain values"
            raise UserError(what, where=where((*at, n)))
    # The file has the list itself where `Choice` has a field.
    return build(Choice, {"values": values}, lambda _path: where(at), at)


def _numeric_type(annotation: Any) -> str:
    """`int` or `float` when the field takes exactly one of them, otherwise nothing."""
    members, found = [annotation], set()
    while members:
        member = members.pop()
        if get_origin(member) in (Union, UnionType, Annotated):
            members += get_args(member)
        elif member in (int, float):
            found.add(member.__name__)
    return found.pop() if len(found) == 1 else ""


def _type_of_bounds(given: dict[str, Any]) -> str:
    bounds = (given.get("low"), given.get("high"))
    return "int" if all(isinstance(bound, int) for bound in bounds) else "float"
