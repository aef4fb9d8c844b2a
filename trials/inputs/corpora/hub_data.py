"""Data sets on a hub, streamed row by row at a commit."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from trials.api import TrialError
from trials.inputs.cache import keep_text, kept_text
from trials.inputs.corpora.uri import CorpusUri
from trials.inputs.digests import text_digest
from trials.inputs.messages import nearest
from trials.inputs.sources.schemes.http_ranges import patiently
from trials.inputs.sources.schemes.hub_http import endpoint
from trials.lazy import lazy_module

datasets = lazy_module("datasets")  # takes half a second to import; a digest does not need it

_log = logging.getLogger(__name__)


def commit_of(uri: CorpusUri) -> str:
    """The commit that the revision names, constant for the life of this process.

    Offline: the commit that this user's cache has for that revision. Raises TrialError if there is
    neither.
    """
    if re.fullmatch(r"[0-9a-f]{40}", uri.revision):
        return uri.revision
    with _one_line_errors(uri):
        return _commit(uri.repo, uri.revision, endpoint())


def stream_texts(uri: CorpusUri) -> Iterator[str]:
    """The texts of the split `train`, in order, as they arrive. Raises TrialError."""
    commit = commit_of(uri)
    with _one_line_errors(uri):
        try:
            rows = datasets.load_dataset(
                uri.repo, name=uri.config or None, revision=commit, split="train", streaming=True
            )
            yield from column_texts(rows, uri)
        except (datasets.exceptions.DatasetsError, ValueError, FileNotFoundError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise TrialError(f"{uri.text}: {lines[0]}") from error


def column_texts(rows: Any, uri: CorpusUri) -> Iterator[str]:
    """The texts of a column that are not empty; TrialError if there is no such column of texts."""
    for row in rows:
        if not isinstance(text := row.get(uri.column), str):
            found = [name for name, value in row.items() if isinstance(value, str)]
            raise TrialError(
                f"{uri.text}: no column '{uri.column}' of texts; {nearest(uri.column, found)}"
            )
        if text:
            yield text


@functools.cache
def _commit(repo: str, revision: str, at: str) -> str:
    memo = text_digest("dataset", at, repo, revision)
    try:
        commit = patiently(lambda: HfApi(endpoint=at).dataset_info(repo, revision=revision).sha)
    except (OfflineModeIsEnabled, httpx2.TransportError):
        if (remembered := kept_text("commits", memo)) is None:
            raise
        _log.warning("no connection to the hub: %s@%s is the remembered commit", repo, revision)
        return remembered
    keep_text("commits", memo, str(commit))
    return str(commit)


@contextmanager
def _one_line_errors(uri: CorpusUri) -> Iterator[None]:
    """Translate the errors of the hub's client into one line that begins with the URI."""
    try:
        yield
    except (OfflineModeIsEnabled, httpx2.RequestError, ConnectionError) as error:
        raise TrialError(
            f"{uri.text}: no answer from {endpoint()} ({type(error).__name__}); check the "
            "connection or HF_ENDPOINT, or use a corpus: of your own"
        ) from error
    except HfHubHTTPError as error:
        raise TrialError(
            f"{uri.text}: {endpoint()} answered {error.response.status_code}: no such data set or "
            "revision, or a private or gated one: set HF_TOKEN"
        ) from error
