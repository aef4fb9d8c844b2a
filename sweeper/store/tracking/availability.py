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
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sweeper.errors import UserError, one_line
from sweeper.store.location import Store

_PATIENCE_S = 4
_DRIVERS = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
}
# Messages of PostgreSQL and MySQL for a login that they refuse.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba.conf entry|Access denied for user"
    r"|role \S+ (?:does not exist|is not permitted to log in)",
    re.IGNORECASE,
)
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
        _reach_database(store)
    _reached.add(store.tracking_uri)


def user_of(store: Store) -> str:
    """The user name for a store, "" if none is given."""
    given = unquote(urlsplit(store.tracking_uri).username or "")
    return given or (str(read_mlflow_creds().username or "") if store.is_server else "")


def refuse_read_only_database(store: Store) -> None:
    """Raise UserError if we may only read the database. Nothing is written.

    The statements affect no row, but the database checks the permission to execute them.
    """
    engine = _engine(store)
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
        raise UserError(f"{who}: {_first_line(error)}", where=store.shown) from error
    finally:
        engine.dispose()


def _reach_database(store: Store) -> None:
    try:
        engine = _engine(store)
        with engine.connect():
            pass
        engine.dispose()
    except ModuleNotFoundError as error:
        package = _DRIVERS.get(error.name or "", error.name)
        raise UserError(
            f"the database driver '{error.name}' is not installed",
            where=store.shown,
            hint=f"pip install '{package}'",
        ) from error
    except (NoSuchModuleError, ArgumentError, ValueError) as error:
        raise UserError(
            f"no such database: {one_line(str(error), 200)}", where=store.shown
        ) from error
    except SQLAlchemyError as error:
        said = _first_line(error)
        if _REFUSED.search(said):
            _refuse_credentials(store, said, error)
        raise UserError(f"the store does not answer: {said}", where=store.shown) from error


def _engine(store: Store) -> sqlalchemy.Engine:
    url = sqlalchemy.make_url(store.tracking_uri)
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": _PATIENCE_S}
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=timeout)


def _reach_server(store: Store) -> None:
    try:
        answer = http_request(
            get_default_host_creds(store.tracking_uri),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=_PATIENCE_S,
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
        return f"timed out after {_PATIENCE_S} s"
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
    detail = f" ({said})" if said else ""
    raise UserError(
        f"the store refused the credentials of '{name}'{detail}", where=store.shown
    ) from cause


def _first_line(error: SQLAlchemyError) -> str:
    """The database's message, without the statement that SQLAlchemy appends."""
    said = str(getattr(error, "orig", None) or error).partition("[SQL:")[0]
    return one_line(said.partition("\n")[0], 300)
