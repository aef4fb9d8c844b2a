"""A slot for a lease in the tracking store: a tag of the sweep's experiment."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlExperimentTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

LEASE_TAG = "sweeper.lease"
_SETTLE_S = 1.0


class ServerSlot:
    """Behind MLflow's HTTP API, which has no compare-and-swap: what stands after a pause counts.

    See `sweeper.store.lease.Slot`. The experiment of the sweep must exist before the first swap.
    """

    settle_s = _SETTLE_S

    def __init__(self, client: MlflowClient, sweep: str) -> None:
        self._client, self._sweep = client, sweep

    def read(self) -> str:
        """The tag, "" where there is none, or no experiment."""
        return self._look()[1]

    def swap(self, old: str, new: str) -> bool:
        """Replace the tag if it is `old`; a concurrent swap may replace it, too."""
        experiment, text = self._look()
        return text == old and self._write(experiment, old, new)

    def _look(self) -> tuple[str, str]:
        found = self._client.get_experiment_by_name(self._sweep)
        return (found.experiment_id, found.tags.get(LEASE_TAG, "")) if found else ("", "")

    def _write(self, experiment: str, old: str, new: str) -> bool:
        self._client.set_experiment_tag(experiment, LEASE_TAG, new)
        return True


class DatabaseSlot(ServerSlot):
    """In a database that this process writes itself: its primary key, or one UPDATE, decides."""

    settle_s = 0.0

    def __init__(self, client: MlflowClient, sweep: str, store: SqlAlchemyStore) -> None:
        super().__init__(client, sweep)
        self._store = store

    def _write(self, experiment: str, old: str, new: str) -> bool:
        row = {"key": LEASE_TAG, "experiment_id": int(experiment)}
        tags = SqlExperimentTag.__table__
        with self._store.ManagedSessionMaker(read_only=False) as session:
            if not old:
                try:
                    session.execute(insert(tags).values(**row, value=new))
                except IntegrityError:
                    session.rollback()
                    return False
                return True
            same = (tags.c[name] == value for name, value in {**row, "value": old}.items())
            return bool(session.execute(update(tags).where(*same).values(value=new)).rowcount == 1)
