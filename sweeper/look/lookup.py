"""Which trial a user means."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.errors import UserError, nearest
from sweeper.records import TrialRow


def find_trial(rows: Sequence[TrialRow], text: str) -> TrialRow:
    """The trial that `text` names, as its own sweep ran it.

    `text` is a run id, a key, or a unique beginning of either; or `SWEEP:LABEL`, where the label
    may leave out words as long as one trial is meant (`pursuit:n_atoms=2x null=none`).

    Raises:
        UserError: no trial is named so, or several.
    """
    sweep, colon, words = text.partition(":")
    if colon:
        found = _in_sweep(rows, sweep, words.split())
    else:
        found = [r for r in rows if r.run_id.startswith(text) or r.key.startswith(text)]
    if len({row.key for row in found}) != 1:
        several, none = ("match", "matches") if colon else ("begin with", "begins with")
        how_many = f"{len(found)} trials {several}" if found else f"no trial {none}"
        raise UserError(f"{how_many} '{text}'", hint="see 'sweeper ls'")
    return min(found, key=lambda row: row.reused_from != "")


def _in_sweep(rows: Sequence[TrialRow], sweep: str, words: Sequence[str]) -> list[TrialRow]:
    stored = sorted({row.sweep for row in rows})
    if sweep not in stored:
        raise UserError(f"the store holds no sweep '{sweep}'", hint=nearest(sweep, stored))
    mine = [row for row in rows if row.sweep == sweep]
    whole = [row for row in mine if row.label.split() == list(words)]
    return whole or [row for row in mine if set(words) <= set(row.label.split())]
