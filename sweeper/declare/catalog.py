"""Where sweep files are: ready-made ones by name, one's own by path."""

from __future__ import annotations

from pathlib import Path

import trials
from sweeper.errors import UserError, nearest

SUFFIXES = (".yaml", ".yml")


def ready_made() -> dict[str, Path]:
    """The sweeps that come with the package, by name."""
    folder = Path(trials.__file__).parent / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(name_or_path: str) -> tuple[Path, str]:
    """The file of a sweep, and what to call it in messages.

    A file that exists comes first; otherwise a bare word is the name of a ready-made sweep.
    """
    path = Path(name_or_path)
    if _is_file(path):
        return path, name_or_path
    if path.suffix in SUFFIXES or path.name != name_or_path:
        beside = [str(other) for other in path.parent.glob("*.y*ml") if other.suffix in SUFFIXES]
        raise UserError("no such file", where=name_or_path, hint=nearest(name_or_path, beside))
    if found := ready_made().get(name_or_path):
        return found, str(found)
    what = f"'{name_or_path}' is neither a file nor a ready-made sweep"
    raise UserError(what, hint=nearest(name_or_path, ready_made()))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the file system, or with a null byte
        return False
