"""Numbers and names as text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sweeper.errors import one_line
from trials.api import Comparison, Control, Metric, TrialKind

MISSING = "–"


def number(value: float | None, digits: int = 4) -> str:
    """That many significant digits; a dash for what is missing.

    >>> number(0.123456), number(12345.6), number(3.0), number(1.5e-7), number(float("nan"))
    ('0.1235', '12,346', '3', '1.5e-07', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value != 0 and not 1e-3 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def shown(value: Any) -> str:
    """A config value: numbers as they were given, text without control characters."""
    if value is None or value == "":
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value))


def seconds(value: float) -> str:
    """A duration, without spaces.

    >>> seconds(0.25), seconds(75), seconds(7260)
    ('0.25s', '1m15s', '2h01m')
    """
    whole = round(value)
    if whole < 60:
        return f"{value:.3g}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def byte_size(n_bytes: float) -> str:
    """A size, in the largest unit of which there is one.

    >>> byte_size(0), byte_size(999), byte_size(12_345), byte_size(2.5e9)
    ('0 B', '999 B', '12.3 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def plural(n: int, word: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def spaced(name: str) -> str:
    """A name of a field or metric in running text: `fvu_held_out` is `fvu held out`."""
    return name.replace("_", " ")


def metric_title(metric: Metric) -> str:
    """The declared title of a metric, else its name in words."""
    return metric.title or spaced(metric.name)


def unit_of(metric: Metric) -> str:
    """The unit to print after a number: none for a fraction."""
    return "" if metric.unit == "frac" else metric.unit


def metric_heading(metric: Metric) -> str:
    """Title and unit of a metric, the unit only if the title does not have it.

    >>> metric_heading(Metric("code_length", "bits", "minimise", ""))
    'code length (bits)'
    >>> metric_heading(Metric("l0", "atoms", "minimise", "", title="atoms per token"))
    'atoms per token'
    """
    title, unit = metric_title(metric), unit_of(metric)
    return title if not unit or unit in re.findall(r"\w+", title) else f"{title} ({unit})"


def field_title(kind: TrialKind, name: str) -> str:
    """The declared title of a config field, else its name in words."""
    field = kind.config.model_fields.get(name)
    return (field.title if field else None) or spaced(name)


def title_of(kind: TrialKind, name: str) -> str:
    """The title of a metric or a config field."""
    is_metric = name in kind.metric_names
    return metric_title(kind.metric(name)) if is_metric else field_title(kind, name)


def axis_title(kind: TrialKind, name: str) -> str:
    """A metric or field with its unit, if it has one."""
    is_metric = name in kind.metric_names
    return metric_heading(kind.metric(name)) if is_metric else field_title(kind, name)


def comparison_title(comparison: Comparison) -> str:
    """`fvu at equal l0` for fvu_held_out at equal l0_held_out: without the ending that both share.

    >>> comparison_title(Comparison("fvu_held_out", at="l0_held_out"))
    'fvu at equal l0'

    Where the best of several methods counts, what they have in common.

    >>> comparison_title(Comparison("fvu_omp_test", at="l0_test", also=(("fvu_test", "l0_test"),)))
    'best fvu at equal l0'
    """
    best = "best " if comparison.is_best_of else ""
    of, at = (_common([pair[i] for pair in comparison.pairs]) for i in (0, 1))
    return f"{best}{short_name(of, at)} at equal {short_name(at, of)}"


def comparison_heading(comparison: Comparison, kind: TrialKind) -> str:
    """`comparison_title` in the words of declared titles: `error (FVU) at equal atoms per token`.

    Without the side that both share and, where the best of several methods counts, without what
    tells these apart (all after the first comma).
    """
    of, at = kind.metric(comparison.of).title, kind.metric(comparison.at).title
    if not (of and at):
        return comparison_title(comparison)
    side = of.partition(" ")[0] + " "
    if at.startswith(side):
        of, at = of.removeprefix(side), at.removeprefix(side)
    if not comparison.is_best_of:
        return f"{of} at equal {at}"
    return f"best {_until_comma(of)} at equal {_until_comma(at)}"


def _until_comma(title: str) -> str:
    """`error (FVU)` of `error (FVU, greedy codes)`."""
    kept = title.partition(",")[0]
    return kept + ")" * (kept.count("(") - kept.count(")"))


def _common(names: Sequence[str]) -> str:
    """The words that all names begin and end with; the first name if there are none."""
    first, *others = (name.split("_") for name in names)
    shortest = min([len(first), *map(len, others)])
    begin = next((i for i in range(shortest) if any(o[i] != first[i] for o in others)), shortest)
    room = shortest - begin
    ends = (i for i in range(room) if any(o[-1 - i] != first[-1 - i] for o in others))
    end = next(ends, room)
    return "_".join(first[:begin] + first[len(first) - end :]) or names[0]


def short_name(name: str, *others: str) -> str:
    """A metric in words, without the ending that it shares with the others."""
    words, rest = name.split("_"), [other.split("_") for other in others]
    while min(map(len, [words, *rest])) > 1 and all(other[-1] == words[-1] for other in rest):
        for each in (words, *rest):
            each.pop()
    return " ".join(words)


def short_names(
    keys: Sequence[tuple[Any, ...]], fields: Sequence[str]
) -> dict[tuple[Any, ...], str]:
    """Name each key by the fields in which the keys differ (by the first where they do not)."""
    differ = [i for i in range(len(fields)) if len({key[i] for key in keys}) > 1] or [0]
    return {k: ", ".join(f"{spaced(fields[i])} {shown(k[i])}" for i in differ) for k in keys}


def control_name(params: Mapping[str, Any], control: Control) -> Any:
    """The value of the control field; with the variant of a control that has some.

    `planted_sparse 2x 16 0.1`.
    """
    value = params.get(control.field)
    variant = [shown(params[name]) for name in control.variants if params.get(name) is not None]
    return " ".join([shown(value), *variant]) if variant else value


def is_positive(name: Any, control: Control) -> bool:
    """Whether a `control_name` is that of a positive control, in which the claim holds."""
    return str(name).partition(" ")[0] in control.positive


def control_title(name: Any, control: Control) -> str:
    """`null gaussian_spectrum`, or `control: superposition true (planted_sparse 2x 16 0.1)`."""
    if is_positive(name, control):
        return f"control: {control.claim} ({shown(name)})"
    return f"{spaced(control.field)} {shown(name)}"


def beginnings(ids: Iterable[str], at_least: int = 8) -> dict[str, str]:
    """The beginning of each id, just long enough to be unique."""
    known = set(ids)
    longest = max(map(len, known), default=0)
    for n in range(at_least, longest):
        if len({each[:n] for each in known}) == len(known):
            return {each: each[:n] for each in known}
    return {each: each for each in known}


def natural(value: Any) -> tuple[int, float, str]:
    """A sort key: `2x` before `10x`, numbers before words, missing values last."""
    if value is None:
        return 2, 0.0, ""
    leading = re.match(r"[-+]?\d+\.?\d*(e[-+]?\d+)?", str(value))
    return (0, float(leading[0]), str(value)) if leading else (1, 0.0, str(value))
