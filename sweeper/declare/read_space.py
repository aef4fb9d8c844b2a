"""Reads the entries under `space` and `cases` of a sweep file.

    cases:
      - {tying: tied}
      - {tying: untied, input_embedding: frozen_random}

Cases are points that differ in several fields at once, without being a product. A case that lacks
a field which others name takes the value under `fixed`, or else the kind's default. The grid is
every case combined with every point of `space`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from sweeper.declare.document import KeyPath, Where, shown
from sweeper.declare.space import MAX_CHOICES, Choice, FloatRange, IntRange
from sweeper.declare.validation import build
from sweeper.errors import UserError, nearest
from sweeper.records import Scalar

_PART = re.compile(r"\{(\w+)\}")


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
            what = f"given {shown(given)}; {word} takes one list and nothing else"
            raise UserError(what, where=where(at))
        return _read_choice(given[word], where, (*at, word))
    if "text" in given:
        return _read_texts(given, where, at)
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
    # The file holds the bare list, so errors must not name the field `values`.
    return build(Choice, {"values": values}, lambda _path: where(at), at)


def _read_texts(given: dict[str, Any], where: Where, at: KeyPath) -> Choice:
    """`{text: "hub:NAME@step{step}", step: [0, 1000]}`: the text with each value of each part.

    Parts vary in the order in which they are given, the last fastest.
    """
    text = given["text"]
    parts = {name: values for name, values in given.items() if name != "text"}
    named = dict.fromkeys(_PART.findall(text)) if isinstance(text, str) else {}
    if not named:
        what = f"given {shown(text)}; must be text with parts in braces, as in step{{step}}"
        raise UserError(what, where=where((*at, "text")))
    for name in named:
        if name not in parts:
            what, hint = f"part {{{name}}} of the text has no values", nearest(name, list(parts))
            raise UserError(what, where=where((*at, "text")), hint=hint)
    for name, values in parts.items():
        if name not in named:
            hint = nearest(name, list(named))
            raise UserError(f"the text has no part {{{name}}}", where=where((*at, name)), hint=hint)
        if not isinstance(values, list) or not values:
            what = f"given {shown(values)}; a part takes a list of values"
            raise UserError(what, where=where((*at, name)))
        for n, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, str | int):
                what = f"given {shown(value)}; a part holds text and integers"
                raise UserError(what, where=where((*at, name, n)))
    if (n_texts := math.prod(map(len, parts.values()))) > MAX_CHOICES:
        what = f"{n_texts:,} texts; at most {MAX_CHOICES:,}"
        raise UserError(what, where=where(at))
    points = itertools.product(*parts.values())
    texts = [_filled(text, dict(zip(parts, point, strict=True))) for point in points]
    return _read_choice(texts, where, at)


def _filled(text: str, point: dict[str, str | int]) -> str:
    return _PART.sub(lambda part: str(point[part[1]]), text)


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


Case = dict[str, Scalar]


def case_fields(cases: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Fields that a case names, in the order of the file."""
    return tuple(dict.fromkeys(name for case in cases for name in case))


def whole_cases(
    cases: Sequence[Mapping[str, Any]],
    fields: Mapping[str, FieldInfo],
    fixed: Mapping[str, Any],
    where: Where,
) -> tuple[Case, ...]:
    """The cases with every field that one of them names. `UserError` for the first mistake."""
    names = case_fields(cases)
    whole: list[Case] = []
    for n, case in enumerate(cases):
        for name in case:
            _check_field(name, case[name], fields, where(("cases", n, name)))
        filled = {name: _value(name, case, fields, fixed, where(("cases", n))) for name in names}
        if filled in whole:
            what = f"the same as cases[{whole.index(filled)}]; cases must be distinct"
            raise UserError(what, where=where(("cases", n)))
        whole.append(filled)
    for name in names:
        if name in fixed and all(name in case for case in cases):
            what = f"every case gives '{name}' a value; it cannot be fixed too"
            raise UserError(what, where=where(("fixed", name)))
    return tuple(whole)


def case_space(cases: Sequence[Case]) -> dict[str, Choice]:
    """Each field of whole cases with the values that it takes, in their order."""
    return {
        name: Choice(values=tuple({repr(case[name]): case[name] for case in cases}.values()))
        for name in case_fields(cases)
    }


def _check_field(name: str, value: Any, fields: Mapping[str, FieldInfo], at: str) -> None:
    allowed = [field for field in fields if field != "seed"]
    if name == "seed":
        raise UserError("seed is given by the key seeds alone", where=at)
    if name not in allowed:
        raise UserError(f"unknown field '{name}'", where=at, hint=nearest(name, allowed))
    if not isinstance(value, Scalar):
        raise UserError(f"given {shown(value)}; a case holds plain values", where=at)


def _value(
    name: str,
    case: Mapping[str, Any],
    fields: Mapping[str, FieldInfo],
    fixed: Mapping[str, Any],
    at: str,
) -> Scalar:
    if name in case or name in fixed:
        value: Scalar = case.get(name, fixed.get(name))
        return value
    if fields[name].is_required():
        raise UserError(f"field '{name}' is missing; other cases have it", where=at)
    default: Scalar = fields[name].default
    return default
