"""Where sweep files are: ready-made ones by name, one's own by path."""

from __future__ import annotations

import difflib
from pathlib import Path

import trials
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
    beside = {other.stem: other for other in path.parent.glob("*.y*ml") if other.suffix in SUFFIXES}
    found = difflib.get_close_matches(path.stem, beside, n=1, cutoff=0.6)
    return f"did you mean '{beside[found[0]]}'?" if found else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the file system, or with a null byte
        return False
