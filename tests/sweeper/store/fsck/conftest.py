"""A small store with one shipped sweep, and ways to hurt it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.artifacts import StagingArea, manifest
from sweeper.store.fsck.check import SweepCheck, check, repair
from sweeper.store.fsck.disagreement import Disagreement
from sweeper.store.journal import (
    Event,
    Finished,
    History,
    Journal,
    Reported,
    Reused,
    Shipped,
    Started,
    Suggested,
    read_journal,
    replay,
)
from sweeper.store.location import Store, locate_store
from sweeper.store.tracking import Tracking

SWEEP = "bowls"


class SmallStore:
    """A store that holds `n` trials of a sweep as a driver leaves them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.sweep_dir(SWEEP)
        self.staging = StagingArea(self.folder / "staged")
        self.tracking = Tracking(store)
        self.parent = self.tracking.open_submission(SWEEP, "first", {})
        self.tracking.close_submission(self.parent, metrics={}, files=[], failed=False)
        self.run_ids: dict[str, str] = {}

    def write(self, *events: Event) -> None:
        """Append to the journal as a driver does."""
        journal = Journal(self.folder)
        journal.append(*events)
        journal.close()

    def finish(self, key: str, *, artifacts: bool = True, **changes: object) -> Outcome:
        """A trial in the journal and the staging area, not in the database."""
        files = self.staging.begin(key)
        if artifacts:
            (files / "tables").mkdir()
            (files / "tables" / "atoms.csv").write_text(f"atom,token\n0,{key}\n")
            (files / "codes.bin").write_bytes(b"the same in every trial")
        folder = self.staging.commit(key)
        values = {
            "key": key,
            "state": TrialState.COMPLETE,
            "metrics": {"loss": 0.25, "gap": float("nan"), "bits": float("inf")},
            "artifacts": manifest(folder),
            "facts": {"table": "zipf"},
            "provenance": {"python": "3.11"},
            "started_ms": 1000,
            "ended_ms": 3500,
        }
        outcome = Outcome(**(values | changes))  # type: ignore[arg-type]
        report = Reported(key=key, step=1, metrics={"loss": 9.0}, at_ms=2000)
        begun = Started(key=key, at_ms=outcome.started_ms)
        self.write(Suggested(spec=spec(key)), begun, report, Finished(outcome=outcome))
        return outcome

    def ship(self, key: str, outcome: Outcome) -> str:
        """Put a finished trial into the database, as the flusher does."""
        staged = self.staging.folder(key) if outcome.artifacts else None
        run_id = self.tracking.finish_trial(SWEEP, self.parent, spec(key), outcome, staged, step=2)
        self.write(Shipped(key=key, run_id=run_id))
        self.staging.drop(key)
        self.run_ids[key] = run_id
        return run_id

    def artifact(self, key: str, path: str) -> Path:
        """The stored file of an artifact."""
        [found] = (self.store.root / "artifacts").glob(f"*/{self.run_ids[key]}/artifacts/{path}")
        return found

    def check(self) -> SweepCheck:
        """fsck of the sweep."""
        [verdict] = check(self.store, [SWEEP])
        return verdict

    def disagreements(self) -> list[Disagreement]:
        """What is wrong with the sweep."""
        return list(self.check().disagreements)

    def one(self) -> Disagreement:
        """The only thing that is wrong with the sweep."""
        [disagreement] = self.disagreements()
        return disagreement

    def repair(self) -> SweepCheck:
        """fsck --repair of the sweep."""
        [verdict] = repair(self.store, [SWEEP])
        return verdict

    def repaired(self) -> None:
        """Everything is mended, and stays so."""
        verdict = self.repair()
        assert verdict.disagreements == []
        assert verdict.repaired
        assert self.disagreements() == []

    def history(self) -> History:
        """What the journal says of its trials."""
        return replay(read_journal(self.folder / "journal.log"))

    def forget(self, key: str) -> None:
        """Remove a run for good, as an administrator of the database does."""
        self.tracking._client.delete_run(self.run_ids[key])
        self.tracking._client._tracking_client.store._hard_delete_run(self.run_ids[key])

    def duplicate(self, key: str) -> str:
        """Another run of a trial, as a driver without a lock makes."""
        client = self.tracking._client
        found = client.get_run(self.run_ids[key])
        tags = {k: v for k, v in found.data.tags.items() if k != "mlflow.runName"}
        experiment, name = found.info.experiment_id, found.info.run_name
        made = client.create_run(experiment, run_name=name, tags=tags)
        client.set_terminated(made.info.run_id, "FINISHED")
        return str(made.info.run_id)

    def states(self) -> dict[str, str]:
        """State of every trial that the database shows."""
        return {row.key: str(row.state) for row in self.tracking.results.rows([SWEEP])}


def spec(key: str) -> TrialSpec:
    """A trial whose config tells its key."""
    return TrialSpec(
        key=key,
        kind="bowl",
        kind_version=1,
        config={"x": 0.5, "note": key},
        input_digests={"source": "abc"},
        varied=("note",),
    )


@pytest.fixture
def empty(store_dir: Path) -> SmallStore:
    """A sweep without trials."""
    return SmallStore(locate_store(str(store_dir)))


@pytest.fixture
def small(empty: SmallStore) -> SmallStore:
    """A sweep with the shipped trials `a` and `b`."""
    for key in "ab":
        empty.ship(key, empty.finish(key))
    return empty


@pytest.fixture
def reused(small: SmallStore) -> SmallStore:
    """Trial `a` stands in the sweep `others` too."""
    outcome, source = small.history().outcomes["a"], small.run_ids["a"]
    run_id = small.tracking.finish_trial("others", small.parent, spec("a"), outcome, None, source)
    journal = Journal(small.store.sweep_dir("others"))
    journal.append(
        Reused(spec=spec("a"), outcome=outcome, run_id=source),
        Shipped(key="a", run_id=run_id),
    )
    journal.close()
    return small


@pytest.fixture
def make_spec() -> Callable[[str], TrialSpec]:
    return spec
