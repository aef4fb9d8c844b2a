"""A sweep as the text of a sweep file, and values of Python as it would hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from sweeper.declare.reader import FLOAT, INT, parse_value
from sweeper.declare.space import Choice, Dimension
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", INT, None)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, None)
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def sweep_text(sweep: Sweep) -> str:
    """The text that loads as an equal sweep, with every default spelled out, one entry per line."""
    search: dict[str, Any] = {"method": sweep.search.method}
    search["objectives"] = [o.model_dump() for o in sweep.search.objectives]
    if bounds := sweep.search.constraints:
        search["constraints"] = {m: b.model_dump(exclude_none=True) for m, b in bounds.items()}
    if sweep.search.method not in ("grid", "target"):
        search["seed"] = sweep.search.seed
    if sweep.search.method == "optuna":
        search["sampler"] = sweep.search.sampler
    is_count = sweep.seeds == tuple(range(len(sweep.seeds)))
    lines = [_entry("kind", sweep.kind)]
    lines += [_entry("description", sweep.description)] if sweep.description else []
    lines += [_entry("after", sweep.after.model_dump())] if sweep.after else []
    space = {name: _dimension(d) for name, d in sweep.crossed.items()}
    cases = [dict(case) for case in sweep.cases]
    fixed = dict(sweep.fixed)
    sections: dict[str | int, Any] = {"fixed": fixed, "space": space, "cases": cases}
    for (section, *between, name), entry in sweep.open_runs.items():
        holder = sections[section][between[0]] if between else sections[section]
        holder[name] = entry
    lines += _section("fixed", fixed)
    lines += ["cases:", *(f"  - {flow_text(case)}" for case in cases)] if cases else []
    lines += _section("space", space)
    lines += [_entry("nulls", list(sweep.nulls))] if sweep.nulls else []
    lines += [_entry("search", search)]
    lines += [_entry("trials", sweep.trials)] if sweep.trials is not None else []
    lines += [_entry("seeds", len(sweep.seeds) if is_count else list(sweep.seeds))]
    lines += [_entry("resources", sweep.resources.model_dump())]
    lines += [_entry("limits", sweep.limits.model_dump(exclude_none=True))]
    if early := sweep.early_stopping:
        unused = {"reduction"} if early.method == "median" else set()
        lines += [_entry("early_stopping", early.model_dump(exclude=unused))]
    return "\n".join(lines) + "\n"


def _dimension(dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return dimension.model_dump(exclude_none=True)


def _section(name: str, entries: dict[str, Any]) -> list[str]:
    return (
        [f"{name}:", *(f"  {_entry(key, value)}" for key, value in entries.items())]
        if entries
        else []
    )


def _entry(key: str, value: Any) -> str:
    """`key: value` on one line, anything nested in flow style."""
    return flow_text({key: value})[1:-1]


def flow_text(value: Any) -> str:
    """A value on one line, in flow style."""
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=float("inf"),
    )
    return text.removesuffix("...\n").strip()


def plain(value: Any, where: str) -> Any:
    """The value of Python as a sweep file would hold it: lists for tuples and arrays, no NaN.

    Raises:
        UserError: a sweep file can hold no such value.
    """
    try:
        text = flow_text(_built_in(value))
    except yaml.representer.RepresenterError as error:
        given = error.args[-1] if error.args else value
        what = f"a value of type {type(given).__name__}; a sweep holds numbers, text, lists"
        raise UserError(f"{what} and mappings", where=where) from error
    return parse_value(text, where)


def _built_in(value: Any) -> Any:
    """Mappings, sequences, NumPy's arrays and numbers, and paths as built-in types."""
    if isinstance(value, Mapping):
        return {str(name): _built_in(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [_built_in(inner) for inner in value]
    if isinstance(value, PurePath):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value
