"""The name of a trial's run in the MLflow UI, which shows about twenty characters.

Field names would fill that space and repeat in every row, so a name has values and short symbols.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sweeper.records import SEED, TrialSpec, short_value
from trials import load_kind
from trials.api import TrialKind

_LONG_TEXT, _LETTERS_PER_WORD = 8, 4


def run_name(spec: TrialSpec) -> str:
    """`real λ0.31 2x s0`: the arm, then numbers, texts and the seed.

    It has the varied fields and always the seed, so that names stay unique when the sweep gets more
    seeds.
    """
    kind = _kind(spec.kind)
    if kind is None or not spec.varied:
        return spec.label
    config, control = spec.config, kind.control.field if kind.control else ""
    fields = [name for name in spec.varied if name not in (control, SEED)]
    texts = [name for name in fields if isinstance(config[name], str)]
    others = [name for name in fields if name not in texts]
    seed = [SEED] if SEED in config else []
    symbols = _symbols(kind, [*others, *seed])

    parts = []
    if control in spec.varied:
        parts.append(_short_text(config[control]) if spec.is_control else "real")
    parts += [_with_symbol(name, symbols[name], config[name]) for name in others]
    parts += [_short_text(config[name]) for name in texts]
    parts += [_with_symbol(name, symbols[name], config[name]) for name in seed]
    return " ".join(parts)


def _kind(name: str) -> TrialKind | None:
    try:
        return load_kind(name)
    except KeyError:  # of a package that is not installed here
        return None


def _symbols(kind: TrialKind, names: Sequence[str]) -> dict[str, str]:
    """A symbol for each name; the name itself if two would share one."""
    symbols = {name: kind.symbol(name) for name in names}
    n_uses = Counter(symbols.values())
    return {name: s if n_uses[s] == 1 else f"{name}=" for name, s in symbols.items()}


def _with_symbol(name: str, symbol: str, value: Any) -> str:
    if isinstance(value, bool):
        return _short_text(name) if value else f"no-{_short_text(name)}"
    return f"{symbol}{short_value(value)}"


def _short_text(text: str) -> str:
    """`gaus_spec` of `gaussian_spectrum`, `Eleu/pythia-70m` of `hub:EleutherAI/pythia-70m`."""
    if len(text) <= _LONG_TEXT:
        return text
    if re.search(r"[:/]", text):
        *folders, name = (text.partition(":")[2] or text).split("/")
        return "/".join([*(folder[:_LETTERS_PER_WORD] for folder in folders[-1:]), name])
    return "_".join(word[:_LETTERS_PER_WORD] for word in text.split("_"))
