"""Files that a user names: each mistake is one `TrialError` that says what to do."""

from __future__ import annotations

import difflib
import stat
from pathlib import Path

from trials.api import TrialError
from trials.inputs.messages import one_line, problem_of


def user_path(text: str) -> Path:
    """A path that a person wrote, with `~` expanded. TrialError: no such user, or no home."""
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError) as error:
        raise TrialError(f"{one_line(text)}: no home folder is known for its ~") from error


def regular_file(path: Path) -> None:
    """`TrialError` unless `path` is a file that can be read from start to end."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrialError(f"no such file{_similar(path)}") from error
    except (OSError, ValueError) as error:
        raise TrialError(f"the path cannot be opened ({problem_of(error)})") from error
    if stat.S_ISDIR(mode):
        raise TrialError("is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        raise TrialError("is a pipe or a device: name a regular file")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. TrialError if it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TrialError(f"{path} is not UTF-8: save it as UTF-8") from error


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names[:5000], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
