"""`run:` sources: checkpoints of the embedding that one of our own trials left as artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trials.api import TrialError
from trials.inputs.sources.cache import text_digest
from trials.inputs.sources.files import read_rows, read_vocabulary
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.uri import SourceUri

INPUT_EMBEDDING = "input_embedding"
TOKENS = "embeddings/tokens.json"

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
        tokens: Path | None = fetch(run_id, TOKENS)
    except (TrialError, OSError, LookupError):
        tokens = None
    return Loaded(rows, read_vocabulary(tokens, len(rows)), {**facts, "run": run_id})


def _artifact(source: SourceUri) -> tuple[str, str]:
    run_id, _, checkpoint = source.body.partition("/")
    return run_id, f"embeddings/{checkpoint}.safetensors"
