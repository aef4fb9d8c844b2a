"""The matrix of the same model before training, where a source names a training step."""

from __future__ import annotations

from math import isnan

from trials.api import TrialError
from trials.inputs.sources import EmbeddingMatrix, open_source, source_digest
from trials.inputs.sources.loaded import FetchArtifact, NoSuchRevision
from trials.inputs.sources.training_steps import initial_uri, training_step


def has_initial(uri: str) -> bool:
    """Whether the source names a training step, and the model was published before training too."""
    if isnan(training_step(uri)):
        return False
    try:
        source_digest(initial_uri(uri))
    except NoSuchRevision:
        return False
    return True


def open_initial(matrix: EmbeddingMatrix, fetch: FetchArtifact | None) -> EmbeddingMatrix:
    """The matrix before training. TrialError: there is none, or it has another shape."""
    initial = open_source(initial_uri(matrix.uri), fetch_artifact=fetch)
    if initial.rows.shape != matrix.rows.shape:
        raise TrialError(
            f"{initial.uri} is {initial.rows.shape}, {matrix.uri} {matrix.rows.shape}; the matrix "
            "before training needs the same shape"
        )
    return initial
