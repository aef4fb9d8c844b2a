"""A matrix as its source stores it, and the rules that all sources share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.messages import nearest
from trials.inputs.sources.vocabulary import Vocabulary

FetchArtifact = Callable[[str, str], Path]
"""`fetch(run_id, path)`: a verified local copy of an artifact of another trial."""

# Suffixes of the names under which model families store their input embedding, most specific first.
EMBEDDING_NAMES = (
    "shared.weight",  # T5, BART: encoder and decoder share it
    "wte.weight",  # GPT-2, GPT-J, Falcon-like
    "embed_tokens.weight",  # Llama, Mistral, Qwen, Gemma, OPT, Phi
    "embed_in.weight",  # GPT-NeoX, Pythia
    "word_embeddings.weight",  # BERT, RoBERTa, BLOOM, Falcon
    "tok_embeddings.weight",  # Llama's own format, InternLM, ModernBERT
    "tokens_embed.weight",  # GPT
    "word_embedding.weight",  # XLNet
    "embeddings.weight",  # RWKV, Mamba
    "embedding.weight",
)
# Present when the output embedding has weights of its own.
OUTPUT_NAMES = (
    "lm_head.weight",
    "embed_out.weight",
    "output.weight",
    "cls.predictions.decoder.weight",
    "output_embedding",  # of our own trials
)


class NoTokenizer(TrialError):
    """The source exists and has no tokenizer, or none that can be built."""


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


def find_embedding(
    shapes: Mapping[str, tuple[int, ...] | None], wanted: str, n_vocab: int | None
) -> str:
    """Name of the tensor asked for, or of the input embedding.

    Without a name: the shallowest tensor that ends in one of `EMBEDDING_NAMES`, else the only
    2-D tensor with `n_vocab` rows. A shape of None is not known yet, and is accepted.

    Raises:
        TrialError: no such tensor, several candidates, or not a matrix.
    """
    if wanted:
        if wanted not in shapes:
            raise TrialError(f"no tensor '{wanted}' in the file; {nearest(wanted, shapes)}")
        name = wanted
    else:
        name = _known_embedding(shapes) or _only_matrix_with(n_vocab, shapes)
    shape = shapes[name]
    if shape is not None and (len(shape) != 2 or 0 in shape):
        raise TrialError(f"tensor '{name}' has shape {shape}; an embedding is (n_vocab, d_model)")
    return name


def tied_fact(names: Iterable[str], declared: bool | None = None) -> str:
    """Whether input and output embedding are one matrix: as declared, else by tensor names."""
    if declared is None:
        declared = not any(name.endswith(OUTPUT_NAMES) for name in names)
    return "yes" if declared else "no"


def _known_embedding(names: Iterable[str]) -> str:
    names = list(names)
    for ending in EMBEDDING_NAMES:
        found = sorted(
            (name for name in names if name == ending or name.endswith(f".{ending}")),
            key=lambda name: name.count("."),
        )
        if len(found) > 1 and found[0].count(".") == found[1].count("."):
            raise TrialError(
                f"'{found[0]}' and '{found[1]}' could both be the input embedding: name one "
                "after a #"
            )
        if found:
            return found[0]
    return ""


def _only_matrix_with(n_vocab: int | None, shapes: Mapping[str, tuple[int, ...] | None]) -> str:
    found = [n for n, shape in shapes.items() if shape and len(shape) == 2 and shape[0] == n_vocab]
    if len(found) == 1:
        return found[0]
    raise TrialError(
        "no tensor with a usual name for the input embedding: name one after a #; "
        + nearest("embedding.weight", shapes)
    )
