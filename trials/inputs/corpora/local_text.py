"""Text on this machine: a file, a folder, or the sources of Python's standard library."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from trials.api import TrialError
from trials.inputs.local_files import user_path

_CHUNK_BYTES = 1 << 20
_NOT_PROSE = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
_LEAST_CHARACTERS = 120
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
_MARKUP = re.compile(r"\s*(>>>|[:*-]|\w+ *[:=(])")


def corpus_chunks(root: Path) -> Iterator[str]:
    """The text of a file, or of all UTF-8 files of a folder in path order, in whole lines."""
    for file in corpus_files(root):
        with file.open(encoding="utf-8") as lines:
            try:
                while block := lines.readlines(_CHUNK_BYTES):
                    yield "".join(block)
            except UnicodeDecodeError:
                continue


def corpus_root(spec: str) -> tuple[Path, str]:
    """The file or folder that `corpus:PATH` or `stdlib:` names, and its name for the record.

    Raises TrialError if it does not exist.
    """
    if spec == "stdlib:":
        return Path(sysconfig.get_path("stdlib")), "the sources of Python's standard library"
    root = user_path(spec.removeprefix("corpus:"))
    if not root.exists():
        raise TrialError(f"{spec!r}: no such file or folder")
    return root, root.name


def corpus_files(root: Path) -> list[Path]:
    """The files of a corpus in path order: `root` itself, or those of the folder."""
    if root.is_file():
        return [root]
    if root == Path(sysconfig.get_path("stdlib")):
        return _library_files(root)
    return [file for file in sorted(root.rglob("*")) if file.is_file()]


@functools.cache
def _library_files(root: Path) -> list[Path]:
    """Sources of the library itself; found once, as installed packages lie in the same folder."""
    files = sorted(root.rglob("*.py"))
    files = [f for f in files if _NOT_PROSE.isdisjoint(f.relative_to(root).parts)]
    return [f for f in files if f.is_file()]


def corpus_sha256(spec: str) -> str:
    """SHA-256 over the names and contents of a corpus. Raises TrialError if it does not exist."""
    root, _ = corpus_root(spec)
    digest = hashlib.sha256()
    for file in corpus_files(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def library_prose() -> Iterator[str]:
    """Paragraphs of English in the docstrings of Python's standard library, one text per file.

    Paragraphs that are short or begin like code or a list are left out, and lines are joined.
    """
    for file in corpus_files(Path(sysconfig.get_path("stdlib"))):
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        nodes = (
            n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
        )
        paragraphs = [p for n in nodes for p in (ast.get_docstring(n) or "").split("\n\n")]
        prose = [p for p in paragraphs if len(p) > _LEAST_CHARACTERS and not _MARKUP.match(p)]
        yield "\n\n".join(" ".join(p.split("\n")) for p in prose)
