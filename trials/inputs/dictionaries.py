"""Dictionaries left by trials or stored in a file.

    run:RUN_ID[/ARTIFACT][#TENSOR]    file:PATH.npy    file:PATH.safetensors[#TENSOR]

An artifact is named without its suffix; `dictionary` and its tensor `atoms` are the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.digests import file_digest, text_digest
from trials.inputs.sources.loaded import float32_rows
from trials.inputs.sources.schemes.file import read_rows

_ATOMS = "atoms"
_FORM = re.compile(
    r"run:(?P<run>[\w-]+)(/(?P<artifact>[\w.-]+))?(#(?P<tensor>.+))?"
    r"|file:(?P<path>.+\.npy|.+\.safetensors(#(?P<name>.+))?)"
)


class _Reference(NamedTuple):
    """Either `run` and `artifact` or `path` is set."""

    text: str
    run: str
    artifact: str
    path: Path
    tensor: str


def check_reference(text: str) -> str:
    """`text` if it names a dictionary; ValueError with the rule otherwise."""
    if not _FORM.fullmatch(text):
        raise ValueError(
            f"{text!r} names no dictionary; allowed: run:RUN_ID, run:RUN_ID/ARTIFACT#TENSOR, "
            "file:PATH.npy, file:PATH.safetensors#TENSOR"
        )
    return text


def dictionary_digest(text: str) -> str:
    """SHA-256 that names the content: of the file, or of run and artifact, which never change.

    Raises TrialError if the file does not exist.
    """
    given = _parsed(text)
    if given.run:
        return text_digest("dictionary", given.run, given.artifact, given.tensor)
    return text_digest("dictionary", file_digest(_existing(given)), given.tensor)


def load_dictionary(text: str, fetch_artifact: Callable[[str, str], Path]) -> np.ndarray:
    """The atoms, float32, (n_atoms, d_model), as they were stored.

    Raises TrialError: no such run, file or tensor; not a matrix; NaN or infinity.
    """
    given = _parsed(text)
    try:
        if given.run:
            path = fetch_artifact(given.run, f"{given.artifact}.safetensors")
        else:
            path = _existing(given)
        atoms = float32_rows(read_rows(path, given.tensor)[0])
    except (TrialError, OSError, LookupError) as error:
        raise TrialError(f"{text}: {error}") from error
    if not np.isfinite(atoms).all():
        raise TrialError(f"{text}: the dictionary holds NaN or infinite values")
    return atoms


def _parsed(text: str) -> _Reference:
    found = _FORM.fullmatch(check_reference(text))
    assert found
    path = Path((found["path"] or "").partition("#")[0]).expanduser()
    tensor = found["tensor"] or found["name"] or _ATOMS
    return _Reference(text, found["run"] or "", found["artifact"] or "dictionary", path, tensor)


def _existing(given: _Reference) -> Path:
    if not given.path.is_file():
        raise TrialError(f"{given.text}: no such file")
    return given.path
