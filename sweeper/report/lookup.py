"""Find the trial that a user names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sweeper.errors import SweepDeleted, UserError, nearest
from sweeper.records import Scalar, TrialRow, flat_params, short_value
from sweeper.report.words import shown
from sweeper.store.index import find_deleted
from trials import kind_names, load_kind

if TYPE_CHECKING:
    from sweeper.store.opening import Reader

_MAX_SHOWN = 6
_PAIR = re.compile(r"([^\s=]+)=(.*?)(?=\s+[^\s=]+=|\s*$)")


def known(names: Sequence[str], reader: Reader) -> Sequence[str]:
    """The names, each of a sweep that the store holds; UserError where one is not."""
    stored = reader.sweep_names()
    for name in names:
        if name not in stored:
            if find_deleted(reader.store, name).sweep:
                raise SweepDeleted(name)
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, stored))
    return names


def named_trial(reader: Reader, text: str) -> TrialRow:
    """The trial that `text` names; see `find_trial`. Reads one trial, or those of one sweep."""
    sweep, colon, _ = text.partition(":")
    if colon:
        return find_trial(reader.rows(known([sweep], reader)), text)
    return find_trial(reader.beginning_with(text), text)


def find_trial(rows: Sequence[TrialRow], text: str) -> TrialRow:
    """The trial that `text` names, as its own sweep ran it.

    `text` is a run id, a key, or a unique beginning of either; or `SWEEP:FIELD=VALUE ...`, where
    any config fields may be named as long as one trial is meant (`pursuit:n_atoms=2x null=none`).
    Values are compared in the type of their field: 0.2 is 0.20.

    Raises:
        UserError: no trial is named so, or several.
    """
    sweep, colon, words = text.partition(":")
    if colon:
        found = _in_sweep(rows, sweep, words)
    else:
        found = [r for r in rows if r.run_id.startswith(text) or r.key.startswith(text)]
    n_found = len({row.key for row in found})
    if n_found != 1:
        several, none = ("match", "matches") if colon else ("begin with", "begins with")
        how_many = f"{n_found} trials {several}" if found else f"no trial {none}"
        hint = _differences(found) if found and colon else "see 'sweeper ls'"
        raise UserError(f"{how_many} '{text}'", hint=hint)
    return min(found, key=lambda row: row.reused_from != "")


def _in_sweep(rows: Sequence[TrialRow], sweep: str, words: str) -> list[TrialRow]:
    stored = sorted({row.sweep for row in rows})
    if sweep not in stored:
        raise UserError(f"the store holds no sweep '{sweep}'", hint=nearest(sweep, stored))
    found = [row for row in rows if row.sweep == sweep]
    wanted = _PAIR.findall(words)
    if rest := _PAIR.sub("", words).strip():
        if any(row.label == words for row in found):  # of a sweep that varies nothing
            return [row for row in found if row.label == words]
        raise UserError(
            f"'{rest}' is not FIELD=VALUE", where=sweep, hint="as in 'SWEEP:FIELD=VALUE ...'"
        )
    fields = sorted({name for row in found for name in row.params})
    for name, text in wanted:
        if name not in fields:
            raise UserError(f"unknown field '{name}'", where=sweep, hint=nearest(name, fields))
        normal = _normal(found, name, text)
        exact = [row for row in found if _is(row.params.get(name), text, normal)]
        # A label gives four digits of a number.
        found = exact or [row for row in found if short_value(row.params.get(name)) == text]
    return found


def _is(value: Scalar, text: str, normal: Scalar) -> bool:
    """Whether `text`, or its normal form, means a field's value."""
    if value is None:
        return text in ("null", "none", "None")
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        return _number(text) == value
    return value in (text, normal)


def _number(text: str) -> int | float | None:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _normal(rows: Sequence[TrialRow], name: str, text: str) -> Scalar:
    """The value that the kind makes of `text` (`1x` of `01x`); `text` itself where it refuses."""
    row = next((row for row in rows if isinstance(row.params.get(name), str)), None)
    if row is None or row.kind not in kind_names():
        return text
    given = json.dumps({**row.params, name: text})
    try:
        config = load_kind(row.kind).config.model_validate_json(given)
    except ValidationError:
        return text
    return flat_params(config.model_dump(mode="json")).get(name, text)


def _differences(rows: Sequence[TrialRow]) -> str:
    """`they differ in seed: 0, 1`: the fields to add for a unique name."""
    described = [
        {
            **row.params,
            **{f"input.{name}": digest[:16] for name, digest in row.inputs.items()},
            "kind_version": row.kind_version,
        }
        for row in rows
    ]
    names = list(dict.fromkeys(name for each in described for name in each))
    parts = []
    for name in names:
        values = list(dict.fromkeys(_text(each.get(name)) for each in described))
        if len(values) > 1:
            more = ", ..." if len(values) > _MAX_SHOWN else ""
            parts.append(f"{name}: {', '.join(values[:_MAX_SHOWN])}{more}")
    return f"they differ in {'; '.join(parts)}" if parts else "see 'sweeper ls'"


def _text(value: Scalar) -> str:
    return repr(value) if isinstance(value, float) else shown(value)
