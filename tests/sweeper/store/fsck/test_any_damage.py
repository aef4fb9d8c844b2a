"""Whatever happens to the bytes of a journal, no whole record and no finished trial is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.store.journal import Journal, read_journal
from tests.sweeper.store.journal.test_journal import story

Damage = Callable[[bytes], bytes]


def _spot(whole: bytes, part: float) -> int:
    return int(part * len(whole))


def _lines(whole: bytes) -> list[bytes]:
    return whole.splitlines(keepends=True) or [b""]


PART = st.floats(0, 1)
JUNK = st.sampled_from([b"junk", b"\n", b"a\nb\n", b"\r", b"\0" * 64, b"\xff\xfe", b"00000000 {h"])
DAMAGE = st.one_of(
    st.builds(lambda p: lambda w: w[: _spot(w, p)], PART),
    st.builds(lambda p: lambda w: w[_spot(w, p) :], PART),
    st.builds(lambda p, junk: lambda w: w[: _spot(w, p)] + junk + w[_spot(w, p) :], PART, JUNK),
    st.builds(lambda junk: lambda w: w + junk, JUNK),
    st.builds(lambda p: lambda w: w[: _spot(w, p)] + b"#" + w[_spot(w, p) + 1 :], PART),
    st.builds(lambda rng: lambda w: b"".join(rng.sample(_lines(w), len(_lines(w)))), st.randoms()),
    st.builds(lambda p: lambda w: w + b"".join(_lines(w)[_spot(w, p) % len(_lines(w)) :]), PART),
    st.sampled_from(
        [
            lambda w: b"",
            lambda w: w.replace(b"\n", b"\r\n"),
            lambda w: w.replace(b"\n", b"\r"),
            lambda w: w.replace(b"\n", b""),
            lambda w: b"\xef\xbb\xbf" + w,
            lambda w: w.rstrip(b"\r\n"),
            lambda w: w.decode("latin-1").encode("utf-16"),
        ]
    ),
)


def _damaged(whole: bytes, damages: list[Damage]) -> bytes:
    for damage in damages:
        whole = damage(whole)
    return whole


@settings(max_examples=50, deadline=None)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=3))
def test_no_whole_record_is_lost_and_what_is_dropped_lies_beside_the_journal(
    damages: list[Damage],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.log"
        with closing(Journal(path.parent)) as journal:
            for key in "ab":
                journal.append(*story(key))
        path.write_bytes(_damaged(path.read_bytes(), damages))
        before, whole = path.read_bytes(), list(read_journal(path))
        with closing(Journal(path.parent)) as journal:
            assert list(journal.earlier) == whole
            torn = path.with_suffix(".torn")
            cut = torn.read_bytes()[:-1] if torn.exists() else b""
            opened = path.read_bytes()
            assert opened in (rest := before.removesuffix(cut), rest + b"\n")
            kept = journal.keep_only(lambda event: True)
            assert kept.read_bytes() == opened
            assert list(journal.events()) == whole


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=2))
def test_a_repair_brings_journal_and_database_together_and_no_trial_runs_again(
    small: Any, damages: list[Damage]
) -> None:
    path = small.folder / "journal.log"
    intact = path.read_bytes()
    try:
        path.write_bytes(_damaged(intact, damages))
        with closing(Journal(small.folder)):
            before = path.read_bytes()
        assert small.repair().disagreements == []
        copies = [copy.read_bytes() for copy in small.folder.glob("journal.damaged*")]
        assert path.read_bytes().startswith(before) or before in copies
        assert small.disagreements() == []
        assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}
        history = small.history()
        assert history.outcomes.keys() == {"a", "b"}
        assert (history.unfinished, history.unshipped) == ((), ())
        assert history.run_ids == small.run_ids
    finally:
        path.write_bytes(intact)
        for copy in small.folder.glob("journal.*"):
            if copy != path:
                copy.unlink()
