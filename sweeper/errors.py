"""Errors that a user can cause: each is printed as one line, with exit code 2.

Any other exception is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can fix: what was given, where, the rule, the nearest match.

    `UserError("unknown field 'n_atom'", where="a.yaml: space.n_atom", hint="did you mean ...?")`
    reads `a.yaml: space.n_atom: unknown field 'n_atom'; did you mean ...?`.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        parts = f"{where}: {what}" if where else what
        super().__init__(one_line(f"{parts}; {hint}" if hint else parts))


class NoSuchArtifact(UserError):
    """The run has no artifact of that name. A damaged artifact is a plain UserError."""


class SweepDeleted(UserError):
    """The sweep is in MLflow's trash: nothing can be written to it until somebody decides."""

    def __init__(self, sweep: str) -> None:
        super().__init__(
            f"sweep '{sweep}' was deleted in MLflow",
            hint=f"restore it (MLflow's UI, or `sweeper fsck --repair {sweep}`), or remove it "
            f"(`sweeper rm {sweep}`) and run it anew",
        )
        self.sweep = sweep

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return SweepDeleted, (self.sweep,)


class DiskFull(UserError):
    """No space left to write `path`. Existing files are intact, so the same command can resume."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"disk full: {path}", hint="free some disk space and rerun the same command to resume"
        )
        self.path = str(path)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return DiskFull, (self.path,)


class NoDevice(UserError):
    """The machine has no GPU that a trial could use. The trial may run later, elsewhere."""

    def __init__(self, why: str) -> None:
        hint = "run it where torch finds a GPU, or set resources.gpu to 0"
        super().__init__(f"no GPU for a trial: {why}", hint=hint)
        self.why = why

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return NoDevice, (self.why,)


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Messages of libraries that hide the error number: Rust's, SQLite and NumPy.
_NO_SPACE_WORDS = re.compile(
    rf"\(os error ({'|'.join(map(str, _NO_SPACE))})\)|database or disk is full"
    r"|^\d+ requested and \d+ written$"
)


def lacks_space(error: BaseException) -> bool:
    """Whether `error` or its cause is a lack of disk space (full disk, quota, file size limit)."""
    if isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _NO_SPACE):
        return True
    if _NO_SPACE_WORDS.search(str(error)):
        return True
    if "disk I/O error" in str(error) and _file_size_is_limited():  # SQLite's message for EFBIG
        return True
    return error.__cause__ is not None and lacks_space(error.__cause__)


def _file_size_is_limited() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def os_error_line(error: OSError) -> str:
    """An operating system error in one line, path first: `report.html: Permission denied`."""
    paths = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    shown = " -> ".join(shortened(os.fsdecode(path)) for path in paths)
    why = error.strerror or str(error) or type(error).__name__
    return one_line(f"{shown}: {why}" if shown else why)


def shortened(path: str, limit: int = 300) -> str:
    """`path` without the middle of a long one, so that the rest of the message fits on the line."""
    return path if len(path) <= limit else f"{path[: limit // 2]}…{path[-limit // 2 :]}"


@contextmanager
def disk_full_named(path: object) -> Iterator[None]:
    """Inside the block, a lack of disk space raises `DiskFull` with the file's name, or `path`."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if not lacks_space(error):
            raise
        raise DiskFull(getattr(error, "filename", None) or path) from error


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A hint that names the closest allowed word, or lists what is allowed (at most twelve)."""
    allowed = [str(word) for word in allowed]
    close = difflib.get_close_matches(str(given)[:200], allowed, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(allowed[:12]) + (", ..." if len(allowed) > 12 else "")
    return f"allowed: {shown}" if allowed else ""


_MASK = "***"
_SECRETS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # scheme://user:password@host; the password may itself hold '/', '@' or ':'.
        (r"(\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*):\S*@", rf"\1:{_MASK}@"),
        # scheme://token@host, as servers take it; a database's lone user is no secret.
        (r"(\bhttps?://)[^\s:/@?#'\"]+@", rf"\1{_MASK}@"),
        # ?password=..., and password=... as libpq writes it
        (
            r"\b((?:ssl)?(?:password|passwd|pwd|secret|token|api_?key|access_?key)=)"
            r"('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)",
            rf"\1{_MASK}",
        ),
        (r"(\bauthorization['\"]?[:=]\s*['\"]?(?:basic|bearer) )[^\s'\"]+", rf"\1{_MASK}"),
        (r"\bhf_[a-z0-9]{16,}", f"hf_{_MASK}"),
    )
)
_SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "PGPASSWORD",
)
_SHORTEST_SECRET = 6  # a shorter one would blank out parts of ordinary words


def masked(text: str) -> str:
    """`text` with `***` in place of passwords and tokens: in URIs, options, and our variables."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    for name in _SECRET_VARIABLES:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _MASK)
    return text


def one_line(text: str, limit: int = 600) -> str:
    """`text` on one line: no control characters, secrets masked, cut at `limit` characters."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    clean = masked(clean)  # before the cut, which could take the '@' that marks a password
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
