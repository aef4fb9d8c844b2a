"""Models in several files: which files belong together, whichever of them is named.

The convention of both formats is `NAME-00001-of-00003.SUFFIX`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from trials.api import TrialError

_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})")

_T = TypeVar("_T")


class ShardName(NamedTuple):
    """What the name of a shard says: the model's name, and how many shards it has."""

    stem: str
    n_shards: int


def shard_name(path: Path) -> ShardName | None:
    """None unless `path` is named as one of several shards."""
    match = _SHARD.fullmatch(path.stem)
    if match is None:
        return None
    number, n_shards = int(match["number"]), int(match["count"])
    return ShardName(match["stem"], n_shards) if 1 <= number <= n_shards > 1 else None


def shards_beside(path: Path) -> list[Path]:
    """All shards of a file that is named as one of them, in order.

    Raises:
        TrialError: one of them is missing.
    """
    match = _SHARD.fullmatch(path.stem)
    assert match is not None
    width, shards = len(match["number"]), []
    for number in range(1, int(match["count"]) + 1):
        shard = path.with_name(
            f"{match['stem']}-{number:0{width}d}-of-{match['count']}{path.suffix}"
        )
        require(shard, path)
        shards.append(shard)
    return shards


def require(shard: Path, named: Path) -> None:
    """`TrialError` that names the file which is missing from the model of `named`."""
    if not shard.is_file():
        raise TrialError(
            f"{named.name} is one shard of a model, and {shard.name} is missing beside it: put "
            "all shards into one folder under their original names"
        )


def holders(tensors_of: Mapping[Path, Mapping[str, _T]]) -> dict[str, Path]:
    """Which shard holds each tensor.

    Raises:
        TrialError: two shards hold a tensor of the same name.
    """
    holder: dict[str, Path] = {}
    for path, tensors in tensors_of.items():
        for name in tensors:
            if name in holder:
                raise TrialError(
                    f"{holder[name].name} and {path.name} both hold '{name}': they are no shards "
                    "of one model"
                )
            holder[name] = path
    return holder
