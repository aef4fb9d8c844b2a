"""`run:` sources: checkpoints of an embedding that one of our own trials left as artifacts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from trials.api import NoSuchArtifact, TrialError
from trials.inputs.digests import text_digest
from trials.inputs.sources.loaded import FetchArtifact, Loaded
from trials.inputs.sources.schemes.file import read_rows
from trials.inputs.sources.uri import SourceUri
from trials.inputs.sources.vocabulary import Vocabulary, numbered_rows

INPUT_EMBEDDING = "input_embedding"
OUTPUT_EMBEDDING = "output_embedding"
"""Tensor names of a checkpoint; a tied model has only the first."""
VOCABULARY = "vocabulary.csv"
"""One line per row: `token`, `special` (0 or 1), `merge_rank`, and `count` where it is known."""


def digest(source: SourceUri) -> str:
    """Digest of run, artifact and tensor: the artifacts of a run never change."""
    run_id, path = _artifact(source)
    return text_digest("run", run_id, path, source.tensor or INPUT_EMBEDDING)


def load(source: SourceUri, fetch: FetchArtifact | None) -> Loaded:
    """Fetch the artifact and read the matrix and its tokens."""
    if fetch is None:
        raise source.error("a run's artifact can be read only by a trial of a sweep")
    run_id, path = _artifact(source)
    try:
        file = fetch(run_id, path)
    except (OSError, LookupError) as error:
        raise source.error(f"run {run_id} has no artifact {path} ({error})") from error
    rows, facts = read_rows(file, source.tensor or INPUT_EMBEDDING)
    try:
        table = fetch(run_id, VOCABULARY)
    except (NoSuchArtifact, FileNotFoundError, LookupError):
        vocabulary, counts = numbered_rows(len(rows)), None
    else:
        vocabulary, counts = _read_vocabulary(table)
    if len(vocabulary.tokens) != len(rows):
        raise source.error(
            f"{VOCABULARY} names {len(vocabulary.tokens)} tokens, but the matrix has {len(rows)} "
            "rows"
        )
    return Loaded(rows, vocabulary, {**facts, "run": run_id}, counts)


def vocabulary_of(run_id: str, fetch: FetchArtifact) -> Vocabulary:
    """The vocabulary that a trial left. Raises TrialError where it left none."""
    try:
        return _read_vocabulary(fetch(run_id, VOCABULARY))[0]
    except (OSError, LookupError) as error:
        raise TrialError(f"run {run_id} has no {VOCABULARY} ({error})") from error


def _read_vocabulary(path: Path) -> tuple[Vocabulary, np.ndarray | None]:
    """And the counts, if the table has them. TrialError for a damaged table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, strict=True))
        tokens = tuple(line["token"] for line in lines)
        special = np.array([{"0": False, "1": True}[line["special"]] for line in lines], dtype=bool)
        merge_rank = np.array([int(line["merge_rank"]) for line in lines], dtype=np.int64)
        counts = None
        if lines and "count" in lines[0]:
            counts = np.array([int(line["count"]) for line in lines], dtype=np.int64)
        is_permutation = np.array_equal(np.sort(merge_rank), np.arange(len(lines)))
        if not is_permutation or (counts is not None and counts.min() < 0):
            raise ValueError("merge_rank is no permutation, or a count is negative")
    except (ValueError, LookupError, TypeError, OverflowError, csv.Error) as error:
        raise TrialError(
            f"{VOCABULARY} of the run is damaged ({error}); it needs token, special (0 or 1), "
            "merge_rank (each of 0 .. n-1 once) and perhaps count"
        ) from error
    return Vocabulary(tokens, special, merge_rank, "the vocabulary of the run"), counts


def _artifact(source: SourceUri) -> tuple[str, str]:
    run_id, _, checkpoint = source.body.partition("/")
    return run_id, f"{checkpoint}.safetensors"
