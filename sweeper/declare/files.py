"""Files on this machine: sweep files by name or path, and the local files that configs name.

A config names its inputs by URI, as in `source: file:rows.npy`. Only the schemes of local files are
known here; what such a file holds is the kind's business.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import trials
from sweeper.declare.document import KeyPath
from sweeper.declare.space import Choice
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError, nearest

SUFFIXES = (".yaml", ".yml")


def ready_made() -> dict[str, Path]:
    """The sweeps that come with the package, by name."""
    folder = Path(trials.__file__).parent / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(name_or_path: str, where: str = "") -> tuple[Path, str]:
    """The file of a sweep, and what to call it in messages.

    A file that exists comes first; otherwise a bare word is the name of a ready-made sweep.
    `where` says which entry of another file names it.
    """
    path = Path(name_or_path)
    if _is_file(path):
        return path, name_or_path
    if path.suffix in SUFFIXES or path.name != name_or_path:
        what = f"no such file '{name_or_path}'" if where else "no such file"
        raise UserError(what, where=where or name_or_path, hint=_similar(path))
    if found := ready_made().get(name_or_path):
        return found, str(found)
    what = f"'{name_or_path}' is neither a file nor a ready-made sweep"
    raise UserError(what, where=where, hint=nearest(name_or_path, ready_made()))


def _similar(path: Path) -> str:
    """A hint at the file in the same folder that has the most similar name."""
    siblings = {
        other.stem: other for other in path.parent.glob("*.y*ml") if other.suffix in SUFFIXES
    }
    found = difflib.get_close_matches(path.stem, siblings, n=1, cutoff=0.6)
    return f"did you mean '{siblings[found[0]]}'?" if found else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the file system, or with a null byte
        return False


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
