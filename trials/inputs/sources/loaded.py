"""A matrix as its source stores it, and the rules that all sources share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.vocabulary import Vocabulary

FetchArtifact = Callable[[str, str], Path]
"""`fetch(run_id, path)`: a verified local copy of an artifact of another trial."""


class NoTokenizer(TrialError):
    """The source exists and has no tokenizer, or none that can be built."""


class NoSuchRevision(TrialError):
    """The model exists on the hub, and that revision of it does not."""


class Loaded(NamedTuple):
    """A matrix as its source stores it.

    Attributes:
        rows: (n_vocab, d_model) float64, float32 or float16; bfloat16 as the uint16 of its bits.
        vocabulary: texts, special rows and merge ranks, each of length n_vocab.
        facts: tensor, dtype, tied, and what else names the origin.
        counts: (n_vocab,) int64, occurrences in the text that the matrix was trained on; None
            where the source does not say.
    """

    rows: np.ndarray
    vocabulary: Vocabulary
    facts: dict[str, str]
    counts: np.ndarray | None = None


def float32_rows(rows: np.ndarray) -> np.ndarray:
    """Stored rows as writable float32; uint16 holds bfloat16, the upper half of a float32."""
    if rows.dtype == np.uint16:
        widened = rows.astype(np.uint32)
        widened <<= 16
        return widened.view(np.float32)
    with np.errstate(over="ignore"):  # overflow becomes infinite, which the caller refuses
        return np.require(rows, dtype=np.float32, requirements=["C", "W"])
