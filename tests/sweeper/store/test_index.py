from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.records import Deleted
from sweeper.store.index import find_deleted, read_index
from sweeper.store.location import locate_store
from sweeper.store.tracking import Removals, Tracking
from tests.sweeper.store.one_trial import SPEC, outcome


def test_a_peek_sees_what_the_client_sees(
    tracking: Tracking, staged: Path, store_dir: Path
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    tracking.start_trial("bowls", parent, SPEC.model_copy(update={"key": "k2"}), 1000)
    seen = {(g.key, g.state, g.sweep, g.kind) for g in read_index(locate_store(str(store_dir)))}
    rows = {(row.key, row.state, row.sweep, row.kind) for row in tracking.results.rows()}
    assert seen == rows
    assert len(seen) == 2


def test_a_peek_knows_what_was_deleted_and_what_is_being_removed_as_the_client_does(
    tracking: Tracking, staged: Path, store_dir: Path
) -> None:
    store, removals = locate_store(str(store_dir)), Removals(tracking.results)
    parent = tracking.open_submission("bowls", "first", {})
    ids = []
    for key in ("k1", "k2", "k3"):
        spec = SPEC.model_copy(update={"key": key})
        ended = outcome(staged).model_copy(update={"key": key})
        ids.append(tracking.finish_trial("bowls", parent, spec, ended, staged))

    def known() -> Deleted:
        found = find_deleted(store, "bowls")
        assert found == tracking.results.deleted("bowls")
        return found

    assert known() == Deleted()
    tracking._client.delete_run(ids[0])
    assert known() == Deleted(keys=frozenset({"k1"}))
    removals.begin_run(ids[1])
    assert known() == Deleted(keys=frozenset({"k1"}), is_half_removed=True)
    removals.end_run(ids[1])
    assert known() == Deleted(keys=frozenset({"k1"}))
    removals.begin_sweep("bowls")
    assert known() == Deleted(keys=frozenset({"k1"}), is_half_removed=True)
    removals.end_sweep("bowls")
    assert known() == Deleted()


def test_a_peek_at_nothing_is_empty_and_at_rubbish_is_refused(tmp_path: Path) -> None:
    store = locate_store(str(tmp_path / "none"))
    assert read_index(store) == []
    store.root.mkdir()
    store.database.write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="not a tracking store"):
        read_index(store)
