"""Translates pydantic's errors to `UserError`; no other module does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sweeper.declare.document import KeyPath, Where, shown
from sweeper.errors import UserError, nearest
from sweeper.records import Record
from trials.api import TrialError

M = TypeVar("M", bound=BaseModel)

_PLAIN_WORDS = {
    "a valid boolean": "true or false",
    "a valid integer": "an integer",
    "a valid array": "a list",
    "a valid dictionary": "a mapping",
    "an object": "a mapping",
    "a valid string": "text",
    "a valid ": "a ",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    " or must be ": " or ",
}


class Declared(Record):
    """A record that people write: types are strict, and numbers must be finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


def build(model: type[M], values: Mapping[str, Any], where: Where, at: KeyPath = ()) -> M:
    """Validate what was read under the key path `at`; `UserError` names the first fault.

    The values go through JSON: there, strict validation accepts a list for a tuple, but no text
    for a number.
    """
    try:
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise _first_fault(error, model, values, where, at) from error
    except TrialError as error:
        raise UserError(str(error), where=where(at)) from error


def _first_fault(
    error: ValidationError, model: type[BaseModel], values: Any, where: Where, at: KeyPath
) -> UserError:
    # A misspelled key is also a missing one. Report the misspelling.
    faults = sorted(error.errors(include_url=False), key=lambda f: f["type"] != "extra_forbidden")
    first = faults[0]
    path = _path_given(first["loc"], values)
    if first["type"] == "extra_forbidden":
        hint = nearest(str(path[-1]), _field_names(model, path[:-1]))
        return UserError(f"unknown key '{path[-1]}'", where=where(at + path), hint=hint)
    if first["type"] == "missing":
        key = first["loc"][-1]
        what = f"item {key + 1}" if isinstance(key, int) else f"'{key}'"
        return UserError(f"{what} is missing", where=where(at + path))
    # Each branch of a union reports its own error for the same value.
    rule = _rule([f for f in faults if _path_given(f["loc"], values) == path])
    given = first["input"]
    if first["type"] == "value_error" and (isinstance(given, dict) or str(given) in rule):
        return UserError(rule, where=where(at + path))
    choices = re.findall(r"'([^']*)'", first.get("ctx", {}).get("expected", ""))
    hint = nearest(given, choices) if isinstance(given, str) else ""
    hint = hint if hint.startswith("did you mean") else ""  # the rule lists them already
    return UserError(f"given {shown(given)}; {rule}", where=where(at + path), hint=hint)


def _path_given(loc: KeyPath, values: Any) -> KeyPath:
    """The part of a pydantic location that was written: union branches are left out."""
    path: list[str | int] = []
    for key in loc:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            break
        path.append(key)
    return tuple(path)


def _rule(faults: list[ErrorDetails]) -> str:
    """What a value had to be, in the words of a sweep file."""
    if faults[0]["type"] == "value_error":
        return str(faults[0]["ctx"]["error"])
    rule = " or ".join(re.sub(r"^\w+ should", "must", fault["msg"]) for fault in faults)
    rule = re.sub(r" after validation, not \d+", "", rule)
    for words, plain in _PLAIN_WORDS.items():
        rule = rule.replace(words, plain)
    return rule


def _field_names(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Field names of the model that stands under `path` inside another one."""
    models = [model]
    for key in path:
        if isinstance(key, str):
            fields = [m.model_fields[key] for m in models if key in m.model_fields]
            if fields:  # else the key is one of a mapping to such models
                models = list(_models_in(field.annotation for field in fields))
    return [name for m in models for name in m.model_fields]


def _models_in(annotations: Iterable[Any]) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        yield from _models_in(get_args(annotation))
