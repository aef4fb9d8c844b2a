"""`cases` of a sweep file: points that differ in several fields at once, and are no product.

    cases:
      - {tying: tied}
      - {tying: untied, input_embedding: frozen_random}

A field that some cases name and others do not has in those the value under `fixed`, or else the
kind's default. The grid is each case with every point of `space`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from sweeper.declare.document import Where, shown
from sweeper.declare.space import Choice
from sweeper.errors import UserError, nearest
from sweeper.records import Scalar

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
