"""`kinds`: what can be swept, read from the declarations of the kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sweeper.report.listing import to_json
from sweeper.report.tables import Grid, page
from sweeper.report.words import shown
from trials.api import Comparison, Config, TrialKind

LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}


class FieldNote(NamedTuple):
    """A config field, in words. `default` is None where the field must be given."""

    name: str
    type: str
    range: str
    default: str | None
    description: str


def field_notes(config: type[Config]) -> list[FieldNote]:
    """Every field of a config, in order."""
    schema = config.model_json_schema()
    definitions = schema.get("$defs", {})
    notes = []
    for name, field in config.model_fields.items():
        parts = _alternatives(schema["properties"][name], definitions)
        ranges = dict.fromkeys(filter(None, map(_range, parts)))
        default = (
            None if field.is_required() else shown(field.get_default(call_default_factory=True))
        )
        notes.append(
            FieldNote(
                name=name,
                type=" | ".join(dict.fromkeys(map(_type, parts))),
                range="; ".join(ranges),
                default=default,
                description=field.description or "",
            )
        )
    return notes


def kinds_table(kinds: Sequence[TrialKind], *, width: int | None = None) -> str:
    """`kinds`: one row per kind."""
    rows = [(kind.name, str(kind.version), kind.objective, kind.summary) for kind in kinds]
    return page(Grid(("kind", "version", "objective", "question"), rows), width=width)


def kind_page(kind: TrialKind, *, width: int | None = None) -> str:
    """`kinds NAME`: its fields, then its metrics."""
    fields = [
        (n.name, n.type, n.range, "(required)" if n.default is None else n.default, n.description)
        for n in field_notes(kind.config)
    ]
    metrics = [
        (m.name, m.unit, m.direction, "yes" if m.held_out else "", m.definition)
        for m in kind.metrics
    ]
    parts: list[Grid | str] = [
        f"{kind.name} (version {kind.version}): {kind.summary}",
        f"objective: {kind.metric(kind.objective).direction} {kind.objective}",
        Grid(("field", "type", "range", "default", "meaning"), fields),
        Grid(("metric", "unit", "direction", "held out", "definition"), metrics),
    ]
    if kind.reports:
        parts.append(f"reported while it runs, for early_stopping: {', '.join(kind.reports)}")
    if kind.control:
        parts.append(
            f"control: {kind.control.field} other than '{kind.control.real}' is a null; real and "
            "null are compared on " + "; ".join(map(_compared, kind.control.comparisons))
        )
        if kind.control.positive:
            names = ", ".join(f"'{name}'" for name in kind.control.positive)
            parts.append(f"{names} is no null but a positive control: {kind.control.claim}")
    return page(*parts, width=width)


def _compared(comparison: Comparison) -> str:
    """`OF at equal AT (ratio)`, or the best of several, with what the best is taken over."""
    methods = " or ".join(f"{of} at equal {at}" for of, at in comparison.pairs)
    across = f" across {', '.join(comparison.across)}" if comparison.across else ""
    best = "best of " if comparison.is_best_of else ""
    return f"{best}{methods}{across} ({comparison.shown})"


def kinds_json(kinds: Sequence[TrialKind]) -> str:
    """`kinds --json`: all of the above for each kind."""
    return to_json(
        [
            {
                "name": kind.name,
                "version": kind.version,
                "summary": kind.summary,
                "objective": kind.objective,
                "fields": [note._asdict() for note in field_notes(kind.config)],
                "metrics": [asdict(metric) for metric in kind.metrics],
                "reports": list(kind.reports),
                "control": asdict(kind.control) if kind.control else None,
            }
            for kind in kinds
        ]
    )


def _alternatives(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in schema:
        return _alternatives(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    options = schema.get("anyOf") or schema.get("oneOf")
    if not options:
        return [schema]
    return [part for option in options for part in _alternatives(option, definitions)]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any"))


def _range(schema: dict[str, Any]) -> str:
    limits = [text.format(shown(schema[key])) for key, text in LIMITS.items() if key in schema]
    if schema.get("minLength") or schema.get("minItems"):
        limits.append("not empty")
    if "pattern" in schema:
        limits.append(f"matches {schema['pattern']}")
    return ", ".join(limits)
