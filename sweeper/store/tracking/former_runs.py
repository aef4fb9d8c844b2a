"""Runs that a database has lost, made again under the ids that they had.

What names a run by its id (`run:` sources, reused trials, the folder of its artifacts) stays true.
MLflow's client gives every run a new id, so this writes the row itself, as its SQL store does.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.uri import append_to_uri_path

_NAME_TAG, _USER_TAG = "mlflow.runName", "mlflow.user"


def former_artifact_uri(client: MlflowClient, experiment: str, run_id: str) -> str:
    """Where MLflow puts the artifacts of a run of that id; "" where only a server makes runs."""
    if not isinstance(client._tracking_client.store, SqlAlchemyStore):
        return ""
    location = client.get_experiment(experiment).artifact_location
    return str(append_to_uri_path(location, run_id, SqlAlchemyStore.ARTIFACTS_FOLDER_NAME))


def make_former_run(
    client: MlflowClient,
    experiment: str,
    run_id: str,
    *,
    started_ms: int,
    tags: Mapping[str, str],
    name: str,
) -> Run:
    """A RUNNING run with the given id, which the database must not hold.

    Raises:
        TypeError: the store is a server, which gives ids itself.
    """
    store = client._tracking_client.store
    if not isinstance(store, SqlAlchemyStore):
        raise TypeError("only an SQL store can make a run under a former id")
    run = SqlRun(
        run_uuid=run_id,
        name=name,
        artifact_uri=former_artifact_uri(client, experiment, run_id),
        experiment_id=int(experiment),
        source_type="UNKNOWN",
        source_name="",
        entry_point_name="",
        user_id=tags.get(_USER_TAG, ""),
        status="RUNNING",
        start_time=started_ms,
        end_time=None,
        deleted_time=None,
        source_version="",
        lifecycle_stage="active",
    )
    run.tags = [SqlTag(key=key, value=str(v)) for key, v in {_NAME_TAG: name, **tags}.items()]
    with store.ManagedSessionMaker(read_only=False) as session:
        session.add(run)
    return client.get_run(run_id)
