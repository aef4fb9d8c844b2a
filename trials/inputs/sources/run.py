"""`run:` sources: checkpoints of the embedding that one of our own trials left as artifacts."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.cache import text_digest
from trials.inputs.sources.files import read_rows
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.tokens import Vocabulary, numbered_rows
from trials.inputs.sources.uri import SourceUri

INPUT_EMBEDDING = "input_embedding"
OUTPUT_EMBEDDING = "output_embedding"
"""Names of the tensors of a checkpoint; one that is tied has the first alone."""
VOCABULARY = "vocabulary.csv"
"""One line a row: `token`, `special` (0 or 1), `merge_rank`, and `count` where it is known."""

FetchArtifact = Callable[[str, str], Path]
"""`fetch(run_id, path)`: a verified local copy of an artifact."""


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
        vocabulary, counts = _read_vocabulary(fetch(run_id, VOCABULARY))
    except (TrialError, OSError, LookupError):
        vocabulary, counts = numbered_rows(len(rows)), None
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
    """And the counts, if the table has them."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    vocabulary = Vocabulary(
        tuple(line["token"] for line in lines),
        np.array([line["special"] == "1" for line in lines], dtype=bool),
        np.array([int(line["merge_rank"]) for line in lines], dtype=np.int64),
        "the vocabulary of the run",
    )
    if not lines or "count" not in lines[0]:
        return vocabulary, None
    return vocabulary, np.array([int(line["count"]) for line in lines], dtype=np.int64)


def _artifact(source: SourceUri) -> tuple[str, str]:
    run_id, _, checkpoint = source.body.partition("/")
    return run_id, f"{checkpoint}.safetensors"
