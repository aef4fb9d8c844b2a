"""Two colleagues run the same sweep at the same moment: one runs it, the other is told so."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.driver import Ended
from chaos.postgres import Postgres, binaries
from chaos.stored import Database
from chaos.sweep import MakeSweep, Sweep
from chaos.table import Demand
from chaos.tracking_server import TrackingServer

pytestmark = pytest.mark.system

N_TRIALS = 10
SWEEP = """
kind: stepper
fixed: {marks: marks, n_steps: 5, step_s: %r}
seeds: 10
"""
LOCKS_LIE = """
import fcntl
fcntl.flock = lambda descriptor, operation: None
"""


def run_both(first: Sweep, second: Sweep, demand: Demand, fault: str) -> tuple[Sweep, Sweep, str]:
    """Start both at once; who ran the sweep, who was refused, and what the first said."""
    drivers = first.start(), second.start()
    drivers[0].until(lambda: not drivers[1].is_running)
    ended: list[Ended] = [driver.ended() for driver in drivers]
    demand(fault, 1, "exit codes", sorted(e.code for e in ended), equals=[0, 2])
    winner, loser = (first, second) if ended[0].code == 0 else (second, first)
    said = ended[1 if winner is first else 0].stderr.splitlines()
    demand(fault, 1, "lines that the refused driver says", len(said), equals=1)
    assert ": another driver is running this sweep (" in said[0], said
    assert said[0].endswith("; wait for it or end it, then rerun the same command to resume")
    return winner, loser, ended[0 if winner is first else 1].stderr


def demand_one_run(demand: Demand, fault: str, sweep: Sweep, database: Database) -> None:
    database.demand_all_stored(demand, fault, 1, sweep.rows(), N_TRIALS)


def demand_clean(demand: Demand, fault: str, *sweeps: Sweep) -> None:
    codes = [sweep.sweeper("fsck", sweep.name).code for sweep in sweeps]
    demand(fault, 1, "exit codes of fsck", codes, equals=[0] * len(sweeps))


def collide(
    make_sweep: MakeSweep, demand: Demand, fault: str, store: str, database: Database, name: str
) -> None:
    """The sequence of two colleagues on one store, each in a folder of their own."""
    text = SWEEP % 0.2
    first, second = (make_sweep(text, folder, name=name, store=store) for folder in ("pa", "pb"))
    winner, loser, _ = run_both(first, second, demand, fault)
    demand_one_run(demand, fault, winner, database)
    demand(fault, 1, "trials that the refused one ran", loser.n_finished(), equals=0)
    again = loser.run()
    demand(fault, 1, "exit code of the same command later", again.code, equals=0)
    demand(fault, 1, "trials it ran", loser.n_finished(), equals=0)
    assert f"{N_TRIALS} trials: 0 run now, {N_TRIALS} reused" in again.stderr
    demand_clean(demand, fault, winner, loser)
    demand_one_run(demand, fault, winner, database)


def test_one_of_two_folders_on_one_sqlite_file_runs_the_sweep(
    make_sweep: MakeSweep, demand: Demand, store_dir: Path
) -> None:
    uri = f"sqlite:///{store_dir / 'mlflow.db'}"
    collide(
        make_sweep, demand, "two drivers, one SQLite file", uri, Database(uri, "steps"), "steps"
    )


def test_one_of_two_folders_on_one_server_runs_the_sweep(
    make_sweep: MakeSweep, demand: Demand, tmp_path: Path
) -> None:
    server = TrackingServer(tmp_path)
    server.start()
    try:
        server.wait_until_up()
        uri = f"http://127.0.0.1:{server.port}"
        database = Database(server.database_uri, "steps")
        collide(make_sweep, demand, "two drivers, one MLflow server", uri, database, "steps")
    finally:
        server.kill()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if (folder := binaries()) is None:
        pytest.skip("no PostgreSQL: install the package postgresql (initdb and pg_ctl)")
    with tempfile.TemporaryDirectory(prefix="chaos-postgres-") as root:
        server = Postgres(Path(root), folder)
        yield server
        server.stop()


def test_one_of_two_folders_on_one_postgresql_runs_the_sweep(
    make_sweep: MakeSweep, demand: Demand, postgres: Postgres
) -> None:
    database = Database(postgres.uri, "steps")
    collide(make_sweep, demand, "two drivers, one PostgreSQL", postgres.uri, database, "steps")


def test_where_file_locks_lie_one_of_two_drivers_runs_the_sweep(
    make_sweep: MakeSweep, demand: Demand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = "two drivers, one folder, locks that lie"
    lies = tmp_path / "lies"
    lies.mkdir()
    (lies / "sitecustomize.py").write_text(LOCKS_LIE)
    monkeypatch.setenv("PYTHONPATH", str(lies), prepend=":")
    text = SWEEP % 0.2
    first = make_sweep(text)
    second = make_sweep(text, root=first.root)
    winner, _, said = run_both(first, second, demand, fault)
    assert "file locks have no effect on this file system; using a lease file" in said
    demand_one_run(demand, fault, winner, winner.database)
    demand_clean(demand, fault, winner)
