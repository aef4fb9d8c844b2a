"""`query` on the tables that trials left, of stores that are read with SQL and through MLflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.cli import main
from sweeper.run.driver.drive import SweepRun
from sweeper.store import opening, selection
from sweeper.store.location import Store
from sweeper.store.tracking import Results
from tests.sweeper.run.conftest import run  # noqa: F401


@pytest.mark.parametrize("with_sql", [True, False])
def test_a_query_joins_what_trials_left_to_the_trials(
    run: Callable[..., SweepRun],  # noqa: F811
    store_dir: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    with_sql: bool,
) -> None:
    assert run("kind: bowl\nspace: {x: [0.0, 0.5, 1.0]}\n").n_run == 3
    opened: list[Store] = []

    def open_results(store: Store) -> Results:
        opened.append(store)
        return opening.open_results(store)

    monkeypatch.setattr(selection, "open_results", open_results)
    if not with_sql:
        monkeypatch.setattr(opening, "is_readable", lambda store: False)
    text = (
        "select trials.x, step, token, p.x as point from trials "
        "join table('trace', x > 0) using (run_id) join table('point') p using (run_id) "
        "where step = 1 order by trials.x"
    )
    with pytest.raises(SystemExit):
        main(["query", text, "--store", str(store_dir), "--format", "csv"])
    said = capfd.readouterr()
    assert said.out.splitlines() == ["x,step,token,point", '0.5,1,"a,b",0.5', '1.0,1,"a,b",1.0']
    assert len(opened) == 1, "downloaded copies live as long as what downloaded them"
