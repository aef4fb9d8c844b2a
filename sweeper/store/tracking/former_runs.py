"""Recreates runs that a database has lost, under their former ids.

So references by id stay valid: `run:` sources, reused trials, artifact folders. MLflow's client
gives every run a new id, so this writes the row itself, as MLflow's SQL store does.
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
    """Artifact location of a run with that id; "" if only a server can create runs."""
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
    """Create a RUNNING run with the given id, which must not exist in the database.

    Raises:
        TypeError: the store is a server, which assigns ids itself.
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
