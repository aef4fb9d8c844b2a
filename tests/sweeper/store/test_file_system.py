"""What a file system can be trusted with: its type from the mounts, its locks from a try."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store import file_system, sqlite_file
from sweeper.store.file_system import flock, locks_exclude, network_file_system
from sweeper.store.sqlite_file import network_notice, prepare


def mounted(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` a mount point of that type, as far as the list of mounts says."""
    mounts = folder.parent / f"{folder.name}.mounts"
    point = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nbroken\nserver:/export {point} {kind} rw 0 0\n")
    monkeypatch.setattr(file_system, "_MOUNTS", mounts)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre", "9p"])
def test_a_network_file_system_is_named_by_its_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    share = tmp_path / "my share"
    mounted(share, kind, monkeypatch)
    assert network_file_system(share / "results" / "mlflow.db") == kind
    assert network_file_system(share) == kind
    assert network_file_system(tmp_path / "my share2") == ""
    link = tmp_path / "link"
    link.symlink_to(share)
    assert network_file_system(link / "results") == kind


def test_a_local_file_system_and_a_machine_without_a_list_of_mounts_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(tmp_path / "disk", "xfs", monkeypatch)
    assert network_file_system(tmp_path / "disk") == ""
    monkeypatch.setattr(file_system, "_MOUNTS", tmp_path / "none")
    assert network_file_system(tmp_path / "disk") == ""


def test_sqlite_keeps_no_write_ahead_log_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t (x)")

    def mode() -> str:
        with closing(sqlite3.connect(database)) as connection:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    database = tmp_path / "share" / "mlflow.db"
    prepare(database, create)
    assert (mode(), network_notice(database)) == ("wal", "")
    mounted(tmp_path / "share", "nfs4", monkeypatch)
    prepare(database, create)
    assert mode() == "delete"
    database.unlink()
    prepare(database, create)
    assert mode() == "delete"
    assert network_notice(database) == (
        f"{tmp_path / 'share'}: a network file system (nfs4): SQLite runs without its write-ahead "
        "log; use PostgreSQL or a tracking server if several machines write at once"
    )


def test_a_log_that_another_process_uses_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "share" / "mlflow.db"
    prepare(database, lambda path: path.touch())
    mounted(tmp_path / "share", "nfs4", monkeypatch)
    monkeypatch.setattr(sqlite_file, "_PATIENCE_S", 0.01)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t (x)")
        prepare(database, pytest.fail)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_locks_are_tried_and_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        assert flock(file.fileno())
        assert locks_exclude(path)
        monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
        assert not locks_exclude(path)

        def unsupported(descriptor: int, operation: int) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(fcntl, "flock", unsupported)
        assert not flock(file.fileno())
        assert not locks_exclude(path)


def test_where_locks_lie_the_first_to_finish_a_database_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    database = tmp_path / "mlflow.db"

    def slower(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE slower (x)")
        prepare(database, faster)

    def faster(path: Path) -> None:
        assert list(tmp_path.glob("*.partial*"))  # the other's is left alone
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE faster (x)")

    prepare(database, slower)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("faster",)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.lock"]
