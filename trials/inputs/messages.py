"""What error messages are made of: one line, the operating system's words, the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def one_line(text: str) -> str:
    """`text` as it can stand in a message: control characters escaped, at most 200 characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:200])
    return shown + "..." if len(text) > 200 else shown


def problem_of(error: Exception) -> str:
    """What the operating system says, without the number and the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint with the closest allowed word, or the first twelve allowed words."""
    words = list(allowed)
    close = difflib.get_close_matches(given[:200], words[:5000], n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"allowed: {', '.join(words[:12])}{', ...' if len(words) > 12 else ''}"
