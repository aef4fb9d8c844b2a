"""Which trials count after an input was replaced or a kind got a new version.

Trials with the same config answer different questions if they read another file under the same
path, or if another version of the kind ran them. They are never replicates of each other. Either
only the newest count and a note says what was left out, or all are shown, separated by version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

from sweeper.records import SEED, TrialRow, TrialState

Inputs = Literal["latest", "all"]
"""Whether trials of earlier inputs and kind versions are left out or shown separately."""

INPUTS = "input version"
"""A column with the version of a trial's inputs; no config field has a space in its name."""

Version = tuple[int, tuple[tuple[str, str], ...]]
"""Kind version, then name and digest of each input."""

_SHOWN_DIGITS = 8


class Standing(NamedTuple):
    """Trials with the newest inputs and kind version, and how many were left out."""

    rows: list[TrialRow]
    n_earlier_inputs: int = 0
    n_earlier_kinds: int = 0

    def notes(self, how: str = "--inputs all shows them apart") -> list[str]:
        """What was left out: one line per reason."""
        left_out = {
            "an earlier input": self.n_earlier_inputs,
            "an earlier version of the kind": self.n_earlier_kinds,
        }
        return [
            f"{n:,} trial{'s' * (n != 1)} of {what} left out; {how}"
            for what, n in left_out.items()
            if n
        ]


def same_config(row: TrialRow) -> Hashable:
    """Equal for trials with the same config, apart from the seed."""
    return row.kind, tuple(sorted((k, repr(v)) for k, v in row.params.items() if k != SEED))


def same_names(row: TrialRow, apart: Collection[str] = ()) -> Hashable:
    """Equal for trials that differ only in numbers and in `apart`: they name the same inputs.

    Within one sweep this finds trials of an earlier input even if the search has not proposed
    their numbers again.
    """
    named = ((k, repr(v)) for k, v in row.params.items() if _is_name(v) and k not in apart)
    return row.kind, tuple(sorted(named))


def standing(
    rows: Iterable[TrialRow], alike: Callable[[TrialRow], Hashable] = same_config
) -> Standing:
    """Leave out trials whose input or kind version is not that of the latest trial.

    A trial is compared with those for which `alike` gives the same value.
    """
    rows = list(rows)
    kinds: dict[Hashable, int] = {}
    digests: dict[tuple[Hashable, str], str] = {}
    described = [(row, alike(row), row.inputs) for row in rows]
    for row, group, inputs in sorted(described, key=lambda each: each[0].started_ms):
        kinds[group] = row.kind_version
        for name, digest in inputs.items():
            digests[group, name] = digest
    kept, n_inputs, n_kinds = [], 0, 0
    for row, group, inputs in described:
        if row.kind_version != kinds[group]:
            n_kinds += 1
        elif any(digest != digests[group, name] for name, digest in inputs.items()):
            n_inputs += 1
        else:
            kept.append(row)
    return Standing(kept, n_inputs, n_kinds)


def of_sweep(rows: Iterable[TrialRow], inputs: Inputs = "latest") -> Standing:
    """The trials of one sweep to show; with "all", every trial, with its version as `INPUTS`."""
    if inputs == "all":
        return Standing(told_apart(rows))
    return standing(rows, same_names)


def told_apart(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Trials with an extra param `INPUTS` if the same names refer to several inputs.

    Code that groups trials by their params then separates the versions and shows which is which.
    """
    rows = list(rows)
    groups: dict[Hashable, list[TrialRow]] = defaultdict(list)
    for row in rows:
        groups[same_names(row)].append(row)
    tags = {id(row): tag for group in groups.values() for row, tag in _tagged(group)}
    return [
        row.model_copy(update={"params": row.params | {INPUTS: tags[id(row)]}})
        if id(row) in tags
        else row
        for row in rows
    ]


def version_of(row: TrialRow) -> Version:
    """What two trials with the same config must share to be replicates."""
    return row.kind_version, tuple(sorted(row.inputs.items()))


def version_names(rows: Sequence[TrialRow]) -> dict[Version, str]:
    """Names that distinguish the versions of these trials: `source 1a2b3c4d`, `version 2`."""
    seen: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for name, digest in row.inputs.items():
            seen[name].add(digest)
    differ = sorted(name for name, digests in seen.items() if len(digests) > 1)
    several_kinds = len({row.kind_version for row in rows}) > 1
    names = {}
    for row in rows:
        parts = [f"version {row.kind_version}"] if several_kinds else []
        parts += [f"{n} {row.inputs[n][:_SHOWN_DIGITS]}" for n in differ if n in row.inputs]
        names[version_of(row)] = ", ".join(parts)
    return names


def are_comparable(one: Version, other: Version) -> bool:
    """Whether two trials agree in the kind version and every input that both read.

    A null may read fewer or more inputs than the real trials.
    """
    theirs = dict(other[1])
    return one[0] == other[0] and all(theirs.get(name, d) == d for name, d in one[1])


def newest_comparable(rows: Iterable[TrialRow], version: Version) -> list[TrialRow]:
    """The trials of the newest version that is comparable with `version`."""
    by_version: dict[Version, list[TrialRow]] = defaultdict(list)
    for row in rows:
        if are_comparable(own := version_of(row), version):
            by_version[own].append(row)
    return max(by_version.values(), key=lambda g: max(r.started_ms for r in g), default=[])


def _tagged(group: Sequence[TrialRow]) -> Iterable[tuple[TrialRow, str]]:
    names = version_names(group)
    if len(names) > 1:
        yield from ((row, names[version_of(row)]) for row in group)


def _is_name(value: object) -> bool:
    return isinstance(value, bool) or not isinstance(value, int | float)


def one_per_key(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """One row per key: complete rows win, then originals over reused ones, then the latest."""
    best: dict[str, TrialRow] = {}
    for row in rows:
        if row.key not in best or _rank(row) > _rank(best[row.key]):
            best[row.key] = row
    return sorted(best.values(), key=in_order)


def _rank(row: TrialRow) -> tuple[bool, bool, int, str]:
    return row.state is TrialState.COMPLETE, not row.reused_from, row.started_ms, row.run_id


def in_order(row: TrialRow) -> tuple[str, int, str, str]:
    """Sorts rows by sweep, start and key."""
    return row.sweep, row.started_ms, row.key, row.run_id
