"""Which trials still stand when an input was replaced, or a kind got a new version.

Trials of one config that read another file under the same path, or that another version of the
kind ran, answer different questions. They are never replicates of each other: the newest stand,
and what is left out is said; or all are shown, each version apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

from sweeper.records import SEED, TrialRow

Inputs = Literal["latest", "all"]
"""Whether trials of earlier inputs and kind versions are left out, or shown apart."""

INPUTS = "input version"
"""A column, not a config field (hence the space): which version of its inputs a trial read."""

Version = tuple[int, tuple[tuple[str, str], ...]]
"""Kind version, then name and digest of each input."""

_SHOWN_DIGITS = 8


class Standing(NamedTuple):
    """Trials whose inputs and kind are the newest of their like, and how many are not."""

    rows: list[TrialRow]
    n_earlier_inputs: int = 0
    n_earlier_kinds: int = 0

    def notes(self, how: str = "--inputs all shows them apart") -> list[str]:
        """What was left out, a line for each reason."""
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
    """Equal for trials of one config, whatever their seed."""
    return row.kind, tuple(sorted((k, repr(v)) for k, v in row.params.items() if k != SEED))


def same_names(row: TrialRow, apart: Collection[str] = ()) -> Hashable:
    """Equal for trials that differ in numbers (and in `apart`) alone: they name the same inputs.

    Within one sweep this finds the trials of an earlier input even where a search has not
    proposed their numbers again.
    """
    named = ((k, repr(v)) for k, v in row.params.items() if _is_name(v) and k not in apart)
    return row.kind, tuple(sorted(named))


def standing(
    rows: Iterable[TrialRow], alike: Callable[[TrialRow], Hashable] = same_config
) -> Standing:
    """Leave out trials that read another input, or ran another version, than the latest started.

    Trials are held against those that are `alike`.
    """
    rows = list(rows)
    kinds: dict[Hashable, int] = {}
    digests: dict[tuple[Hashable, str], str] = {}
    groups = [alike(row) for row in rows]
    for row, group in sorted(zip(rows, groups, strict=True), key=lambda pair: pair[0].started_ms):
        kinds[group] = row.kind_version
        digests |= {(group, name): digest for name, digest in row.inputs.items()}
    kept, n_inputs, n_kinds = [], 0, 0
    for row, group in zip(rows, groups, strict=True):
        if row.kind_version != kinds[group]:
            n_kinds += 1
        elif any(digest != digests[group, name] for name, digest in row.inputs.items()):
            n_inputs += 1
        else:
            kept.append(row)
    return Standing(kept, n_inputs, n_kinds)


def of_sweep(rows: Iterable[TrialRow], inputs: Inputs = "latest") -> Standing:
    """The trials of one sweep to be shown; with "all", every one, told apart by `INPUTS`."""
    if inputs == "all":
        return Standing(told_apart(rows))
    return standing(rows, same_names)


def told_apart(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Trials with a field `INPUTS` in their params where otherwise equal names mean two inputs.

    Whatever groups trials by their fields then keeps the versions apart, and shows which is which.
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
    """What two trials of one config must share to be replicates."""
    return row.kind_version, tuple(sorted(row.inputs.items()))


def version_names(rows: Sequence[TrialRow]) -> dict[Version, str]:
    """What tells the versions among these trials apart: `source 1a2b3c4d`, `version 2`."""
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
    """Whether two trials agree in the kind's version and every input that both read.

    A null may read less than the real rows do, or more.
    """
    theirs = dict(other[1])
    return one[0] == other[0] and all(theirs.get(name, d) == d for name, d in one[1])


def newest_comparable(rows: Iterable[TrialRow], version: Version) -> list[TrialRow]:
    """Of these trials those of the newest version that is comparable with `version`."""
    by_version: dict[Version, list[TrialRow]] = defaultdict(list)
    for row in rows:
        if are_comparable(found := version_of(row), version):
            by_version[found].append(row)
    return max(by_version.values(), key=lambda g: max(r.started_ms for r in g), default=[])


def _tagged(group: Sequence[TrialRow]) -> Iterable[tuple[TrialRow, str]]:
    names = version_names(group)
    if len(names) > 1:
        yield from ((row, names[version_of(row)]) for row in group)


def _is_name(value: object) -> bool:
    return isinstance(value, bool) or not isinstance(value, int | float)
