from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.store.index import read_index
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking
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


def test_a_peek_at_nothing_is_empty_and_at_rubbish_is_refused(tmp_path: Path) -> None:
    store = locate_store(str(tmp_path / "none"))
    assert read_index(store) == []
    store.root.mkdir()
    store.database.write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="not a tracking store"):
        read_index(store)
