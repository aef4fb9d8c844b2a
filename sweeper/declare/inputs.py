"""Local files that a sweep's configs name, in fields such as `source: file:rows.npy`.

A config names its inputs by URI. Only the schemes of local files are known here; what such a file
holds is the kind's business.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sweeper.declare.document import KeyPath
from sweeper.declare.space import Choice
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError

_LOCAL = re.compile(r"(?:file|gguf|counts|corpus):(.+)")
_TENSOR = re.compile(r"#[^#]*$")


def relative_files(sweep: Sweep) -> dict[Path, str]:
    """The local files that the sweep names by a relative path, each with where it is named."""
    given: list[tuple[KeyPath, Any]] = [
        (("fixed", name), value) for name, value in sweep.fixed.items()
    ]
    for name, dimension in sweep.space.items():
        at: KeyPath = ("space", name) if name in sweep.crossed else ("cases",)
        values = dimension.values if isinstance(dimension, Choice) else ()
        given += [(at, value) for value in values]
    found: dict[Path, str] = {}
    for at, value in given:
        match = _LOCAL.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            continue
        path = Path(match[1])
        path = path if path.exists() else Path(_TENSOR.sub("", match[1]))
        if not path.expanduser().is_absolute():
            found.setdefault(path, sweep.where(at))
    return found


def check_files(sweep: Sweep) -> None:
    """Raise UserError if a local file that the sweep names by a relative path does not exist."""
    for path, where in relative_files(sweep).items():
        if not path.exists():
            hint = f"relative paths start in the current folder, {Path.cwd()}"
            raise UserError(f"no such file '{path}'", where=where, hint=hint)
