"""Errors a user can cause, each of which is one line and exit code 2.

Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: what was given, where, the rule, the nearest match.

    `UserError("unknown field 'n_atom'", where="a.yaml: space.n_atom", hint="did you mean ...?")`
    reads `a.yaml: space.n_atom: unknown field 'n_atom'; did you mean ...?`.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        parts = f"{where}: {what}" if where else what
        super().__init__(one_line(f"{parts}; {hint}" if hint else parts))


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint that names the closest allowed word, or lists what is allowed (at most twelve)."""
    allowed = [str(word) for word in allowed]
    close = difflib.get_close_matches(str(given)[:200], allowed, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(allowed[:12]) + (", ..." if len(allowed) > 12 else "")
    return f"allowed: {shown}" if allowed else ""


def one_line(text: str, limit: int = 600) -> str:
    """`text` without control characters or line breaks, cut at `limit` characters."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
