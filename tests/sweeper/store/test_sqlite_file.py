from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.errors import DiskFull, UserError
from sweeper.store.location import locate_store
from sweeper.store.sqlite_file import prepare
from sweeper.store.tracking import Results


def with_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_database_is_made_once_and_logs_ahead(tmp_path: Path) -> None:
    database, made = tmp_path / "deep" / "mlflow.db", []

    def create(path: Path) -> None:
        made.append(path)
        with_table(path)

    for _ in range(2):
        prepare(database, create)
    assert len(made) == 1
    assert mode(database) == "wal"
    assert sorted(path.name for path in database.parent.iterdir()) == ["mlflow.db", "mlflow.lock"]


def test_one_that_exists_is_made_to_log_ahead(tmp_path: Path) -> None:
    with_table(tmp_path / "mlflow.db")
    prepare(tmp_path / "mlflow.db", pytest.fail)
    assert mode(tmp_path / "mlflow.db") == "wal"


def test_a_driver_that_dies_while_making_it_leaves_no_half_database(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"

    def die(path: Path) -> None:
        with_table(path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(database, die)
    assert not database.exists()
    prepare(database, with_table)
    assert not list(tmp_path.glob("*.partial*"))


def test_no_room_and_no_permission_are_one_line(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(DiskFull, match=r"^disk full: .*mlflow\.db; free some disk space"):
        prepare(tmp_path / "mlflow.db", full)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"mlflow\.db: cannot open the store: .*"):
        prepare(tmp_path / "file" / "mlflow.db", with_table)


@pytest.mark.system
def test_drivers_that_make_one_store_at_the_same_time_all_find_it_whole(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from sweeper.store.location import locate_store\n"
        "from sweeper.store.tracking import Results, Tracking\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"tracking = Tracking(locate_store({str(tmp_path / 'results')!r}))\n"
        "tracking.open_submission(sys.argv[1], 'first', {})\n"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"sweep{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    for driver in drivers:  # all have imported: now at once
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write("go\n")
        driver.stdin.flush()
    said = [driver.communicate(timeout=120)[1] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    names = Results(locate_store(str(tmp_path / "results"))).sweep_names()
    assert sorted(names) == ["sweep0", "sweep1"]
