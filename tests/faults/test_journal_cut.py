"""The journal is cut in the middle of a record, as a crash or a full disk leaves it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from chaos.sweep import MakeSweep
from chaos.table import Demand

from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.journal import Event, Finished, Journal, Reported, Started, Suggested
from sweeper.store.journal import read_journal as read


def story(key: str) -> list[Event]:
    spec = TrialSpec(key=key, kind="stepper", kind_version=1, config={"x": 1.0}, input_digests={})
    outcome = Outcome(key=key, state=TrialState.COMPLETE, metrics={"loss_validation": 0.5})
    return [
        Suggested(spec=spec),
        Started(key=key),
        Reported(key=key, step=1, metrics={"loss_validation": 1.0}),
        Finished(outcome=outcome),
    ]


def written(folder: Path, events: list[Event]) -> Path:
    with closing(Journal(folder)) as journal:
        for event in events:
            journal.append(event)
    return journal.path


def test_a_journal_cut_at_any_byte_keeps_every_record_before_the_cut(
    tmp_path: Path, demand: Demand
) -> None:
    fault, events = "journal cut mid-record", [*story("a"), *story("b")]
    whole = written(tmp_path / "whole", events).read_bytes()
    ends = [n + 1 for n, byte in enumerate(whole) if byte == ord("\n")]
    lost = unreported = unfit = 0
    cuts = range(ends[-3], len(whole))
    for cut in cuts:
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / "journal.log").write_bytes(whole[:cut])
        # A record that lost no more than its line end is whole.
        kept = [event for event, end in zip(events, ends, strict=True) if end - 1 <= cut]
        with closing(Journal(folder)) as journal:
            lost += list(journal.events()) != kept
            n_dropped = 0 if cut + 1 in ends else cut - max(end for end in ends if end <= cut)
            told = any(f"({n_dropped} bytes)" in notice for notice in journal.notices)
            unreported += told != (n_dropped > 0)
            journal.append(events[-1])
            unfit += list(journal.events()) != [*kept, events[-1]]
    demand(fault, len(cuts), "cuts that lost an earlier record", lost, equals=0)
    demand(fault, len(cuts), "cuts whose dropped bytes are not told", unreported, equals=0)
    demand(fault, len(cuts), "cuts after which appending fails", unfit, equals=0)


def test_damage_amid_a_journal_costs_that_record_and_no_other(
    tmp_path: Path, demand: Demand
) -> None:
    fault, events = "journal damaged amid", [*story("a"), *story("b")]
    whole = written(tmp_path / "whole", events).read_bytes()
    ends = [n + 1 for n, byte in enumerate(whole) if byte == ord("\n")]
    lost = 0
    spots = range(ends[1], ends[2] - 1)
    for n, spot in enumerate(spots):
        path = tmp_path / f"flipped-{n}.log"
        path.write_bytes(whole[:spot] + bytes([whole[spot] ^ 0x01]) + whole[spot + 1 :])
        lost += list(read(path)) != events[:2] + events[3:]
    demand(fault, len(spots), "flips that cost more than one record", lost, equals=0)


def test_a_driver_says_what_it_drops_and_runs_what_is_missing(
    make_sweep: MakeSweep, demand: Demand
) -> None:
    fault = "journal cut mid-record, before a run"
    sweep = make_sweep("kind: stepper\nfixed: {marks: marks}\nspace: {x: [0.0, 1.0, 2.0]}\n")
    assert sweep.run().code == 0
    whole = sweep.journal.read_bytes()
    half = len(whole) - len(whole.splitlines()[-1]) // 2
    sweep.journal.write_bytes(whole[:half])
    again = sweep.run()
    demand(fault, 1, "exit code", again.code, equals=0)
    n_dropped = half - whole[:half].rfind(b"\n") - 1
    told = f"{n_dropped} bytes" in again.stderr and "journal" in again.stderr
    demand(fault, 1, f"the {n_dropped} dropped bytes are told", told, equals=True)
    demand(fault, 1, "trials run again", sweep.n_lost(), equals=0)
