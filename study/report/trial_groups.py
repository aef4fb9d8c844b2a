"""The trials behind a section: which belong together, and the files that they left."""

from __future__ import annotations

import os
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from sweeper.records import SEED, Scalar, TrialRow
from sweeper.report.artifact_table import Fetch, local_copy, read_table
from sweeper.report.summary import is_trusted
from sweeper.report.words import natural, shown, spaced
from sweeper.store.versions import (
    Version,
    are_comparable,
    newest_comparable,
    version_names,
    version_of,
)
from trials.api import Control, TrialKind


class TrialFiles(NamedTuple):
    """The artifacts of trials.

    Attributes:
        fetch: a verified local copy of an artifact.
        lies_at: `lies_at(run_id, path)`, the place of an artifact on this machine; None where a
            server keeps it.
        page: folder of the page that is being written.
    """

    fetch: Fetch
    lies_at: Callable[[str, str], Path | None]
    page: Path

    def table(self, row: TrialRow, name: str) -> list[dict[str, str]]:
        """Rows of the table `name`.csv; empty where there is none."""
        return read_table(row, name, self.fetch)

    def tables(
        self, group: TrialGroup, name: str
    ) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """Rows of that table of all real trials, and of all nulls."""
        real, null = (
            [line for row in rows for line in self.table(row, name)]
            for rows in (group.real, group.of_nulls)
        )
        return real, null

    def picture(self, row: TrialRow, name: str) -> str:
        """The figure `name`.png as the address of an image; empty where there is none."""
        found = local_copy(row, f"{name}.png", self.fetch)
        return f"data:image/png;base64,{b64encode(found.read_bytes()).decode()}" if found else ""

    def link(self, row: TrialRow, name: str) -> str:
        """A link from the page to an artifact in the store, or text that says where it is."""
        run_id = row.reused_from or row.run_id
        found = self.lies_at(run_id, name)
        if found is None:
            return f"{name} of run {run_id}"
        to = Path(os.path.relpath(found.resolve(), self.page.resolve())).as_posix()
        return Markup(f'<a href="{escape(to)}">{escape(name)}</a>')


class TrialGroup(NamedTuple):
    """Trials that differ only in the seed, the null, and the fields that a section averages over.

    Attributes:
        title: what is studied, and the fields in which it differs from other groups.
        real: complete and certified trials, by seed.
        nulls: the same of each null; positive controls are none.
        left_out: trials that failed, did not end, or are not certified.
        redrawn: what differs between seeds, and so what an interval over seeds covers.
    """

    title: str
    real: list[TrialRow]
    nulls: dict[str, list[TrialRow]]
    left_out: int
    redrawn: str = ""

    @property
    def of_nulls(self) -> list[TrialRow]:
        """The trials of all nulls."""
        return [row for rows in self.nulls.values() for row in rows]

    @property
    def n_seeds(self) -> int:
        """Seeds with a real trial."""
        return len({row.params.get(SEED) for row in self.real})


def group_trials(
    rows: Sequence[TrialRow], kind: TrialKind, *, main: str = "source", over: Sequence[str] = ()
) -> list[TrialGroup]:
    """Group trials of one kind by every field except the seed, the null and `over`.

    `main` is the field that names what is studied. Trials of other inputs, or of another version
    of the kind, are another group. Groups with the most seeds come first.
    """
    control = kind.control
    apart = {SEED, *over, *((control.field, *control.variants) if control else ())}
    groups: dict[tuple[tuple[str, Scalar], ...], list[TrialRow]] = defaultdict(list)
    for row in rows:
        fields = {name: value for name, value in row.params.items() if name not in apart}
        groups[tuple(sorted(fields.items()))].append(row)
    settings = [dict(fields) for fields in groups]
    names = sorted({name for setting in settings for name in setting} - {main})
    differ = [name for name in names if len({repr(s.get(name)) for s in settings}) > 1]
    found = []
    for setting, members in zip(settings, groups.values(), strict=True):
        others = [f"{spaced(name)} {shown(setting.get(name))}" for name in differ]
        titles = [shown(setting.get(main)), *others]
        for version, named in _versions(members).items():
            title = ", ".join([*titles, named] if named else titles)
            if (group := _group(title, members, version, control)) is not None:
                found.append(group)
    return sorted(found, key=lambda group: (-group.n_seeds, natural(group.title)))


def _versions(members: Sequence[TrialRow]) -> dict[Version, str]:
    """The versions of the real trials (of the nulls where there are no others), with names."""
    return version_names([row for row in members if not row.is_control] or members)


def _group(
    title: str, members: Sequence[TrialRow], version: Version, control: Control | None
) -> TrialGroup | None:
    """The trials that can be compared; None where none of them is trusted."""
    mine = [
        row
        for row in members
        if version_of(row) == version
        or (row.is_control and are_comparable(version_of(row), version))
    ]
    trusted = sorted(filter(is_trusted, mine), key=lambda row: natural(row.params.get(SEED)))
    nulls: dict[str, list[TrialRow]] = defaultdict(list)
    for row in trusted:
        if row.is_control and control and control.is_null(row.params.get(control.field)):
            nulls[shown(row.params.get(control.field))].append(row)
    if not trusted:
        return None
    return TrialGroup(
        title,
        [row for row in trusted if not row.is_control],
        {name: newest_comparable(of, version) for name, of in sorted(nulls.items())},
        len(mine) - len(trusted),
        control.redrawn if control else "",
    )
