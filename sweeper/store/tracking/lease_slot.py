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
    """A `Slot` (see `store/lease/`) behind MLflow's HTTP API, which has no compare-and-swap.

    So the text that is there after a pause counts. The sweep's experiment must exist before the
    first swap.
    """

    settle_s = _SETTLE_S

    def __init__(self, client: MlflowClient, sweep: str) -> None:
        self._client, self._sweep = client, sweep

    def read(self) -> str:
        """The tag; "" if there is no tag or no experiment."""
        return self._read_tag()[1]

    def swap(self, old: str, new: str) -> bool:
        """Replace the tag if it is `old`; a concurrent swap may also succeed."""
        experiment, text = self._read_tag()
        return text == old and self._write(experiment, old, new)

    def _read_tag(self) -> tuple[str, str]:
        experiment = self._client.get_experiment_by_name(self._sweep)
        if experiment is None:
            return "", ""
        return experiment.experiment_id, experiment.tags.get(LEASE_TAG, "")

    def _write(self, experiment: str, old: str, new: str) -> bool:
        self._client.set_experiment_tag(experiment, LEASE_TAG, new)
        return True


class DatabaseSlot(ServerSlot):
    """A `Slot` in a database of this process's own: a primary key or one UPDATE decides."""

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
