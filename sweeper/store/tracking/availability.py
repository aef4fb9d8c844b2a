"""Checks within seconds whether a store answers, before MLflow's client, which retries.

Its SQL store retries for 104 s to open a database that does not exist.
"""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds, read_mlflow_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import UserError, one_line
from sweeper.store.location import Store
from sweeper.store.sql import server
from sweeper.store.sql.server import engine_of, first_line, reach_database, refused_credentials

_WRITTEN = (
    "experiments",
    "experiment_tags",
    "runs",
    "params",
    "tags",
    "metrics",
    "latest_metrics",
)
_reached: set[str] = set()


def reach(store: Store) -> None:
    """Check that a database or server answers, once per process.

    Raises:
        UserError: it does not answer, refuses the credentials, or its driver is not installed.
    """
    if store.is_local_file or store.tracking_uri in _reached:
        return
    if store.is_server:
        _reach_server(store)
    else:
        reach_database(store)
    _reached.add(store.tracking_uri)


def user_of(store: Store) -> str:
    """The user name for a store, "" if none is given."""
    given = unquote(urlsplit(store.tracking_uri).username or "")
    return given or (str(read_mlflow_creds().username or "") if store.is_server else "")


def refuse_read_only_database(store: Store) -> None:
    """Raise UserError if we may only read the database. Nothing is written.

    The statements affect no row, but the database checks the permission to execute them.
    """
    engine = engine_of(store)
    try:
        with engine.connect() as connection:
            for table in _WRITTEN:
                connection.execute(
                    sqlalchemy.text(f"INSERT INTO {table} SELECT * FROM {table} WHERE 1=0")
                )
            connection.execute(sqlalchemy.text("UPDATE runs SET status = status WHERE 1=0"))
            connection.rollback()
    except SQLAlchemyError as error:
        name = user_of(store)
        who = f"'{name}' may not write here" if name else "it cannot be written"
        raise UserError(f"{who}: {first_line(error)}", where=store.shown) from error
    finally:
        engine.dispose()


def _reach_server(store: Store) -> None:
    try:
        answer = http_request(
            get_default_host_creds(store.tracking_uri),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=server.PATIENCE_S,
            raise_on_status=False,
        )
    except (MlflowException, OSError, ValueError) as error:
        raise UserError(f"the store does not answer: {reason(error)}", where=store.shown) from error
    if answer.status_code == 401:
        _refuse_credentials(store, "", None)
    if answer.status_code == 403:
        name = user_of(store)
        who = f" to '{name}'" if name else ""
        raise UserError(f"the server answers{who}: {one_line(answer.text, 200)}", where=store.shown)
    if answer.status_code != 200 or not answer.text.lstrip().startswith("{"):
        raise UserError(
            f"no MLflow server answers there: {answer.status_code} {one_line(answer.text, 100)}",
            where=store.shown,
        )


def explained(store: Store, error: BaseException) -> UserError:
    """An error of a store as one line for the user."""
    code = getattr(error, "error_code", "")
    if code == "PERMISSION_DENIED":
        name = user_of(store)
        who = f"'{name}' has no permission for this" if name else "this needs credentials"
        return UserError(f"{who}: {_words_of(error)}", where=store.shown)
    if re.search(r"read-?only", str(error)):
        return UserError("the store is read-only", where=store.shown)
    return UserError(f"the store does not answer: {reason(error)}", where=store.shown)


def _words_of(error: BaseException) -> str:
    body = re.search(r"Response body: '(.*)'", str(error))
    return one_line(body[1] if body else str(error), 200)


def reason(error: BaseException) -> str:
    """Why there was no answer, without the messages of intermediate libraries."""
    said = str(error).partition("[SQL:")[0]
    if "timed out" in said:
        return f"timed out after {server.PATIENCE_S} s"
    if known := re.search(r"\[Errno -?\d+\] ([^'\")]+)", said):
        return known[1].strip()
    return one_line(said, 300)


def _refuse_credentials(store: Store, said: str, cause: BaseException | None) -> NoReturn:
    name = user_of(store)
    if not name and store.is_server:
        raise UserError(
            "the store asks for credentials",
            where=store.shown,
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    raise refused_credentials(store, name, said) from cause
