"""A sweep in a folder of its own: its drivers, its journal, its marks and its final table."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy_steps import steps_marked

from chaos.driver import Driver, Ended
from chaos.stored import Database
from sweeper.records import TrialRow
from sweeper.store.journal import Event, Finished, Started, read_journal
from sweeper.store.location import Store
from sweeper.store.tracking import Results

MakeSweep = Callable[..., "Sweep"]


class Sweep:
    """A sweep file in `folder`, run by `sweeper run` processes in it.

    `root` is the folder of the journal and, unless `store` names a tracking store, of the database.
    The kind's `marks: marks` lie in `folder`.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        *,
        name: str = "steps",
        store: str = "",
        root: Path | None = None,
        ray: bool = False,
    ) -> None:
        self.folder, self.text, self.name, self.store, self.ray = folder, text, name, store, ray
        self.root = root or folder / "results"
        self.marks = folder / "marks"
        self.marks.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)
        self._drivers: list[Driver] = []
        # Ray's sockets lie below its temporary folder, and their paths may have 107 characters.
        self._ray_dir = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp")) if ray else None

    # ---- drivers -------------------------------------------------------------------------

    def start(self, *options: str, **limits: Any) -> Driver:
        """`sweeper run` on this sweep."""
        command = ["run", f"{self.name}.yaml", *([] if self.ray else ["--in-process"])]
        return self._command([*command, *options], **limits)

    def run(self, *options: str, timeout_s: float = 240, **limits: Any) -> Ended:
        """`sweeper run` on this sweep, to its end."""
        return self.start(*options, **limits).ended(timeout_s)

    def sweeper(self, *words: str) -> Ended:
        """Another command of the program in the same folder, on the same store."""
        return self._command(list(words)).ended()

    def clean_up(self) -> None:
        for driver in self._drivers:
            driver.clean_up()
        if self._ray_dir:
            shutil.rmtree(self._ray_dir, ignore_errors=True)

    def _command(self, words: list[str], **limits: Any) -> Driver:
        driver = Driver(
            [*words, "--store", self.store or str(self.root)],
            folder=self.folder,
            environment={"RAY_TMPDIR": str(self._ray_dir)} if self._ray_dir else {},
            **limits,
        )
        self._drivers.append(driver)
        return driver

    # ---- what it left --------------------------------------------------------------------

    @property
    def place(self) -> Store:
        """The store, as `--store` or its absence names it."""
        artifacts = "" if self.store.startswith("http") else (self.root / "artifacts").as_uri()
        return Store(self.root, self.store or f"sqlite:///{self.root / 'mlflow.db'}", artifacts)

    @property
    def database(self) -> Database:
        """What the store's own database holds of this sweep; not where a server hides it."""
        return Database(self.place.tracking_uri, self.name)

    @property
    def journal(self) -> Path:
        return self.place.sweep_dir(self.name) / "journal.log"

    def events(self) -> list[Event]:
        """The whole records of the journal."""
        return list(read_journal(self.journal))

    def n_lines(self, of: bytes = b"\n") -> int:
        """Records in the journal, counted without reading them."""
        return self.journal.read_bytes().count(of) if self.journal.exists() else 0

    def n_finished(self) -> int:
        """Records of trials that ended."""
        return self.n_lines(b'"event":"finished"')

    def n_shipped(self) -> int:
        """Records of trials that are in the database."""
        return self.n_lines(b'"event":"shipped"')

    def rows(self) -> list[TrialRow]:
        """The final table, as the product reads it."""
        return Results(self.place).rows([self.name])

    # ---- figures -------------------------------------------------------------------------

    def n_lost(self) -> int:
        """Trials that the journal held as finished and that ran again, or are not in the table."""
        finished = Counter(e.outcome.key for e in self.events() if isinstance(e, Finished))
        stored = {row.key for row in self.rows()}
        return sum(n > 1 or key not in stored for key, n in finished.items())

    def most_redone(self) -> int:
        """The most steps that any trial had to repeat after any one death."""
        return max(
            (last - step + 1)
            for steps in [*steps_marked(self.marks).values(), [0, 1]]
            for last, step in itertools.pairwise(steps)
        )

    def n_resumed_late(self, deaths: list[int]) -> int:
        """Drivers that began something else than the trials that were in flight before them.

        `deaths` are the numbers of records at which the drivers before them died.
        """
        late = 0
        events = self.events()
        for n in deaths:
            in_flight = _in_flight(events[:n])
            began = [event.key for event in events[n:] if isinstance(event, Started)]
            late += not set(began[: len(in_flight)]) <= in_flight
        return late


def final_table(rows: list[TrialRow]) -> dict[tuple[Any, ...], dict[str, str]]:
    """Trials by what was varied, without what may differ: ids, times, machine, pace."""
    skipped = {"run_id", "submission", "started_ms", "ended_ms", "provenance", "key"}
    return {
        tuple(row.params[name] for name in row.varied): {
            name: repr(value) for name, value in row if name not in skipped | {"metrics", "params"}
        }
        | {name: repr(value) for name, value in row.params.items() if name != "step_s"}
        | {name: repr(v) for name, v in row.metrics.items() if not name.startswith("system/")}
        for row in rows
    }


def n_differences(rows: list[TrialRow], others: list[TrialRow]) -> int:
    """Values that differ between two final tables; a trial that one lacks counts as one."""
    first, second = final_table(rows), final_table(others)
    return len(first.keys() ^ second.keys()) + sum(
        first[trial].get(name) != second[trial].get(name)
        for trial in first.keys() & second.keys()
        for name in first[trial].keys() | second[trial].keys()
    )


def kill_once(sweep: Sweep, happened: Callable[[Driver], bool]) -> int | None:
    """Start a driver and kill it once it happened; the journal's length then.

    None where the driver came to its end before.
    """
    driver = sweep.start()
    if not happened(driver):
        ended = driver.ended()
        assert ended.code == 0, ended.stderr
        return None
    driver.kill()
    return len(sweep.events())


def _in_flight(events: list[Event]) -> set[str]:
    began = {event.key for event in events if isinstance(event, Started)}
    return began - {event.outcome.key for event in events if isinstance(event, Finished)}
