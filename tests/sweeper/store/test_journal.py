from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.flusher import unshipped
from sweeper.store.journal import (
    Event,
    Finished,
    Journal,
    Reported,
    Shipped,
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


@pytest.mark.parametrize("n_cut", [1, 5, 60])
def test_a_torn_tail_is_dropped_and_counted_and_the_rest_kept(tmp_path: Path, n_cut: int) -> None:
    path = write(tmp_path, story("a"))
    kept, whole = list(read_journal(path))[:-1], path.read_bytes()
    path.write_bytes(whole[:-n_cut])
    journal = Journal(tmp_path)
    last_line = whole.splitlines(keepends=True)[-1]
    assert journal.dropped_bytes == len(last_line) - n_cut
    later = Started(key="b")
    journal.append(later)
    assert list(journal.events()) == [*kept, later]
    journal.close()


def test_a_flipped_byte_costs_its_own_record_only(tmp_path: Path) -> None:
    path = write(tmp_path, story("a"))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:20] + bytes([lines[1][20] ^ 1]) + lines[1][21:]
    path.write_bytes(b"".join(lines))
    assert [event.event for event in read_journal(path)] == ["suggested", "reported", "finished"]


def test_a_second_driver_is_refused_and_told_who_holds_the_sweep(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from sweeper.store.journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path)!r})); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=rf"another driver .*pid {holder.pid} on "):
        Journal(tmp_path)
    holder.kill()
    holder.wait()
    Journal(tmp_path).close()


def test_only_finished_trials_without_a_shipment_are_unshipped() -> None:
    shipped = [*story("a"), Shipped(key="a", run_id="r")]
    running = story("c")[:2]
    found = unshipped([*shipped, *story("b"), *running])
    assert {event.key for event in found if isinstance(event, Started)} == {"b"}
    assert [event.event for event in found] == ["suggested", "started", "reported", "finished"]
