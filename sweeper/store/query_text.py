"""What the text of a query says, before DuckDB reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The column `null` without its quotes: in a comparison, or as an item of a list.
BARE_NULL = re.compile(
    r"(?<!\bis )(?<!\bnot )\bnull\s*(?:[=<>]|!=|(?:not\s+)?(?:in|i?like)\b)"
    r"|(?:\b(?:select|distinct|by)\b|,)\s*null\s*(?:,|$|\b(?:from|order|limit|having|asc|desc)\b)",
    re.IGNORECASE,
)

# Where a query may mean columns that it does not name.
_ALL_COLUMNS = re.compile(
    r"(?:\b(?:select|distinct|all)\b|[,.(])\s*\*(?!\s*\))"
    r"|\b(?:columns|exclude|replace|pivot|unpivot|summarize|describe|natural|struct_pack|row)\b"
    r"|\b(?:select|distinct|,)\s*trials\b(?!\s*\.)",
    re.IGNORECASE,
)
_WORD = re.compile(r'"((?:[^"]|"")*)"|([A-Za-z_]\w*)')


def named_in(text: str, columns: Iterable[str]) -> set[str]:
    """The columns that a query or a filter names; all of them where that cannot be told."""
    text = re.sub(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    columns = set(columns)
    aliases = re.findall(r"\btrials\s+(?:as\s+)?([a-z_]\w*)", text, re.IGNORECASE)
    is_whole_row = any(re.search(rf"\b{a}\b(?!\s*\.)", text.split(a, 1)[1]) for a in aliases)
    if is_filter(text) or is_whole_row or _ALL_COLUMNS.search(text):
        return columns
    words = {(quoted or word).replace('""', '"').casefold() for quoted, word in _WORD.findall(text)}
    return {column for column in columns if column.casefold() in words}


def names_inputs(text: str) -> bool:
    """Whether a query may name the digest of an input: `input_source`, or all columns."""
    return bool(re.search(r"\b(?:input|digest)_", text, re.IGNORECASE)) or bool(named_in(text, "*"))


def is_filter(text: str) -> bool:
    """Whether a query is a filter on trials, not a full statement."""
    return not re.match(r"\s*(select|with)\b", text, re.IGNORECASE)


def quoted_name(name: str) -> str:
    """A column name as a query writes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
