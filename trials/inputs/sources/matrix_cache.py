"""Cached matrices: a source that was fetched or decoded once is read from disk the next time."""

from __future__ import annotations

import glob
import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trials.api import TrialError
from trials.inputs.cache import cache_dir, locked, replacing, warn_not_kept
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.vocabulary import Vocabulary

_LAYOUT = 1  # of a cached matrix; raise it when decoding or ranking changes
_log = logging.getLogger(__name__)


def remembered(digest: str, load: Callable[[], Loaded]) -> Loaded:
    """The cached matrix of that digest, else `load()`, which is then cached.

    Processes that want the same matrix at once wait for the first of them.
    """
    try:
        path = cache_dir("matrices") / f"{digest}.v{_LAYOUT}.safetensors"
    except TrialError as error:
        warn_not_kept("matrices", error)
        return load()
    found = _read(path)
    if found is None:
        with locked(digest):
            found = _read(path)
            if found is None:
                found = load()
                _write(path, found)
    return found


def _write(path: Path, loaded: Loaded) -> None:
    # Temporary files of a process that was killed while it held the lock.
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        left.unlink(missing_ok=True)
    vocabulary = loaded.vocabulary
    tensors = {
        "rows": np.ascontiguousarray(loaded.rows),
        "special": vocabulary.special,
        "merge_rank": vocabulary.merge_rank,
    }
    metadata = {
        "tokens": json.dumps(vocabulary.tokens),
        "rank_from": vocabulary.rank_from,
        "facts": json.dumps(loaded.facts),
    }
    metadata["crc32"] = _checksum(tensors, metadata)
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except (OSError, SafetensorError) as error:
        warn_not_kept("matrices", error)


def _read(path: Path) -> Loaded | None:
    """A cached matrix; None if there is none or it is not what was written."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in ("rows", "special", "merge_rank")}
        expected = metadata.pop("crc32")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, AttributeError) as error:
        _log.warning("%s is damaged and will be made again: %s", path, error)
        return None
    if _checksum(tensors, metadata) != expected:
        _log.warning("%s is damaged and will be made again: wrong checksum", path)
        return None
    vocabulary = Vocabulary(
        tuple(json.loads(metadata["tokens"])),
        tensors["special"],
        tensors["merge_rank"],
        metadata["rank_from"],
    )
    return Loaded(tensors["rows"], vocabulary, json.loads(metadata["facts"]))


def _checksum(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    crc = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].view(np.uint8).data, crc)
    return f"{crc:08x}"
