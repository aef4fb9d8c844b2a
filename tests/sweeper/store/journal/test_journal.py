from __future__ import annotations

import math
import resource
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeper.errors import DiskFull, UserError
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.journal import (
    Event,
    Finished,
    Journal,
    Reported,
    Started,
    Suggested,
    read_journal,
)


def spec(key: str) -> TrialSpec:
    return TrialSpec(key=key, kind="bowl", kind_version=1, config={"x": 1.0}, input_digests={})


def story(key: str) -> list[Event]:
    outcome = Outcome(key=key, state=TrialState.COMPLETE, metrics={"loss": math.inf, "gap": 0.5})
    return [
        Suggested(spec=spec(key)),
        Started(key=key),
        Reported(key=key, step=1, metrics={"loss": 1.0}),
        Finished(outcome=outcome),
    ]


def write(folder: Path, events: list[Event]) -> Path:
    journal = Journal(folder)
    for event in events:
        journal.append(event)
    journal.close()
    return journal.path


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    events = story("a") + story("b")
    assert list(read_journal(write(tmp_path, events))) == events


def test_nan_and_infinity_survive(tmp_path: Path) -> None:
    outcome = Outcome(key="a", state=TrialState.COMPLETE, metrics={"x": math.nan, "y": -math.inf})
    [event] = read_journal(write(tmp_path, [Finished(outcome=outcome)]))
    assert isinstance(event, Finished)
    assert math.isnan(event.outcome.metrics["x"])
    assert event.outcome.metrics["y"] == -math.inf


@pytest.mark.parametrize("n_cut", [2, 5, 60])
def test_a_torn_tail_is_set_aside_and_said_and_the_rest_kept(tmp_path: Path, n_cut: int) -> None:
    path = write(tmp_path, story("a"))
    kept, whole = list(read_journal(path))[:-1], path.read_bytes()
    path.write_bytes(whole[:-n_cut])
    journal = Journal(tmp_path)
    n_torn = len(whole.splitlines(keepends=True)[-1]) - n_cut
    assert journal.notices == (
        f"{path}: the last record was cut short and is moved to journal.torn ({n_torn} bytes)",
    )
    assert (tmp_path / "journal.torn").read_bytes() == whole[:-n_cut][-n_torn:] + b"\n"
    assert list(journal.earlier) == kept
    later = Started(key="b")
    journal.append(later)
    assert list(journal.events()) == [*kept, later]
    journal.close()
    assert reopened(tmp_path).notices == ()


def test_a_flipped_byte_costs_its_own_record_only_and_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, story("a"))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:20] + bytes([lines[1][20] ^ 1]) + lines[1][21:]
    path.write_bytes(b"".join(lines))
    assert [event.event for event in read_journal(path)] == ["suggested", "reported", "finished"]
    assert reopened(tmp_path).notices == (
        f"{path}: line 2 is damaged and skipped; later records are kept",
    )


def test_a_record_of_a_later_version_is_passed_over_and_never_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path, story("a"))
    payload = b'{"event":"dreamt","key":"a"}'
    with path.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(payload), payload))
    journal = reopened(tmp_path)
    assert list(journal.earlier) == list(read_journal(path))
    assert len(journal.earlier) == 4
    assert payload in path.read_bytes()


def test_several_events_are_one_append(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(*story("a"))
    assert [event.event for event in journal.events()] == [
        "suggested",
        "started",
        "reported",
        "finished",
    ]
    journal.close()


@pytest.mark.parametrize("n_whole", [0, 1, 3])
def test_a_write_that_fails_midway_leaves_whole_records_only(tmp_path: Path, n_whole: int) -> None:
    journal, events = Journal(tmp_path), story("a")
    for event in events[:n_whole]:
        journal.append(event)
    with room_for(journal.path, n_bytes=30), pytest.raises(DiskFull) as caught:
        journal.append(events[n_whole])
    assert str(caught.value) == (
        f"disk full: {journal.path}; free some disk space and rerun the same command to resume"
    )
    assert list(journal.events()) == events[:n_whole]
    for event in events[n_whole:]:
        journal.append(event)
    assert list(journal.events()) == events
    journal.close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.close()
    with pytest.raises(UserError, match="the journal is closed"):
        journal.append(Started(key="a"))


def test_unreadable_lines_and_unwanted_events_can_be_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, story("a") + story("b"))
    damaged = path.read_bytes().replace(b"loss", b"lo_s", 1)
    path.write_bytes(damaged)
    journal = reopened(tmp_path, close=False)
    kept = journal.keep_only(lambda event: not isinstance(event, Started))
    journal.append(Started(key="c"))
    journal.close()
    assert kept.read_bytes() == damaged
    assert [event.event for event in read_journal(path)] == [
        *("suggested", "finished"),
        *("suggested", "reported", "finished"),
        "started",
    ]
    assert reopened(tmp_path).notices == ()


@pytest.mark.parametrize(
    "edit",
    [
        lambda whole: whole.replace(b"\n", b"\r\n"),
        lambda whole: whole.replace(b"\n", b"\r"),
        lambda whole: b"\xef\xbb\xbf" + whole,
        lambda whole: whole[:-1],
        lambda whole: whole.replace(b"\n", b"\r\n")[:-1],
        lambda whole: whole + b"\n \r\n\n",
        lambda whole: whole.replace(b"\n", b"\n\n"),
        lambda whole: whole.replace(b"\n", b" "),
        lambda whole: whole.replace(b"\n", b""),
        lambda whole: whole + b"\0" * 512,
    ],
    ids=["crlf", "cr", "bom", "no end", "no lf", "blank", "doubled", "joined", "glued", "zeros"],
)
def test_what_an_editor_or_git_changes_costs_no_record_and_is_no_damage(
    tmp_path: Path, edit: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path, story("a"))
    events = list(read_journal(path))
    path.write_bytes(edit(path.read_bytes()))
    edited = path.read_bytes()
    journal = Journal(tmp_path)
    assert journal.notices == ()
    assert list(journal.earlier) == events
    assert path.read_bytes().startswith(edited)
    later = Started(key="b")
    journal.append(later)
    journal.close()
    assert list(read_journal(path)) == [*events, later]


@pytest.mark.parametrize("junk", [b"junk\n", b"junk", b"junk\n00000000 {half", b"x\ny\nz"])
def test_junk_at_the_end_is_said_and_stays_until_a_repair(tmp_path: Path, junk: bytes) -> None:
    path = write(tmp_path, story("a"))
    damaged = path.read_bytes() + junk
    path.write_bytes(damaged)
    journal = Journal(tmp_path)
    assert "damaged and skipped" in journal.notices[0]
    torn = b"00000000 {half" if junk.endswith(b"half") else b""
    assert path.read_bytes().removesuffix(b"\n") == damaged.removesuffix(torn).removesuffix(b"\n")
    journal.append(Started(key="b"))
    assert [event.event for event in journal.events()][-2:] == ["finished", "started"]
    journal.close()


def test_each_copy_of_a_damaged_journal_stays(tmp_path: Path) -> None:
    path = write(tmp_path, story("a"))
    damaged, kept = [], []
    for n in range(3):
        with path.open("ab") as file:
            file.write(b"junk %d\n" % n)
        damaged.append(path.read_bytes())
        journal = reopened(tmp_path, close=False)
        kept.append(journal.keep_only(lambda event: True))
        journal.close()
    assert [copy.name for copy in kept] == [
        "journal.damaged",
        "journal.damaged.1",
        "journal.damaged.2",
    ]
    assert [copy.read_bytes() for copy in kept] == damaged


def test_a_rewritten_journal_keeps_records_of_a_later_version(tmp_path: Path) -> None:
    path = write(tmp_path, story("a"))
    payload = b'{"event":"dreamt","key":"a"}'
    line = b"%08x %s\n" % (zlib.crc32(payload), payload)
    path.write_bytes(path.read_bytes() + line + b"junk\n")
    journal = reopened(tmp_path, close=False)
    assert journal.notices[1].endswith("line 5 of a later version skipped")
    journal.keep_only(lambda event: True)
    journal.close()
    assert path.read_bytes().endswith(line)


@pytest.mark.parametrize("saved", [True, False])
def test_a_driver_goes_on_in_the_file_that_an_editor_saved_or_deleted(
    tmp_path: Path, saved: bool
) -> None:
    journal = Journal(tmp_path)
    journal.append(*story("a"))
    kept = list(journal.events()) if saved else []
    aside = tmp_path / "edited"
    aside.write_bytes(journal.path.read_bytes().rstrip(b"\n"))
    aside.replace(journal.path)
    if not saved:
        journal.path.unlink()
    journal.append(Started(key="b"))
    journal.close()
    assert [e.event for e in read_journal(journal.path)] == [*(e.event for e in kept), "started"]


def reopened(folder: Path, *, close: bool = True) -> Journal:
    journal = Journal(folder)
    if close:
        journal.close()
    return journal


@contextmanager
def room_for(path: Path, n_bytes: int) -> Iterator[None]:
    """Inside, no file of this process grows more than `n_bytes` beyond the size of `path`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
