"""Which tensor of a model is its input embedding, its output embedding or its positions.

A tensor is named in full, or by what it is: `input` (the default), `output`, `positions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from trials.api import TrialError
from trials.inputs.messages import nearest

# Suffixes of the names under which model families store their input embedding, most specific first.
EMBEDDING_NAMES = (
    "shared.weight",  # T5, BART: encoder and decoder share it
    "wte.weight",  # GPT-2, GPT-J, Falcon-like, MLX
    "embed_tokens.weight",  # Llama, Mistral, Qwen, Gemma, OPT, Phi
    "embed_in.weight",  # GPT-NeoX, Pythia
    "word_embeddings.weight",  # BERT, RoBERTa, BLOOM, Falcon
    "tok_embeddings.weight",  # Llama's own format, InternLM, ModernBERT, MLX
    "tokens_embed.weight",  # GPT
    "word_embedding.weight",  # XLNet
    "embeddings.weight",  # RWKV, Mamba
    "embedding.weight",
    "W_E",  # TransformerLens
    "token_embd.weight",  # GGUF
    "input_embedding",  # of our own trials
)
# Present when the output embedding has weights of its own.
OUTPUT_NAMES = (
    "lm_head.weight",
    "embed_out.weight",
    "output.weight",
    "cls.predictions.decoder.weight",
    "output_embedding",  # of our own trials
    "W_U",  # TransformerLens
)
POSITION_NAMES = (
    "wpe.weight",  # GPT-2
    "embed_positions.weight",  # OPT, BART
    "position_embeddings.weight",  # BERT, RoBERTa
    "positions_embed.weight",  # GPT
    "position_embd.weight",  # GGUF
    "position_embedding.weight",
    "W_pos",  # TransformerLens
)
_TRANSPOSED = ("W_U",)  # (d_model, n_vocab)


def find_embedding(
    shapes: Mapping[str, tuple[int, ...] | None], wanted: str, n_vocab: int | None
) -> str:
    """Name of the tensor asked for, or of the input embedding.

    Without a name: the shallowest tensor that ends in one of `EMBEDDING_NAMES`, else the only
    2-D tensor with `n_vocab` rows, else the only tensor. A shape of None is not known yet, and is
    accepted. `output` of a model without one is its input embedding, to which it is tied.

    Raises:
        TrialError: no such tensor, several candidates, or not a matrix.
    """
    if wanted in shapes:
        name = wanted
    elif wanted in ("", "input", "output"):
        name = _ending_in(OUTPUT_NAMES, shapes, wanted) if wanted == "output" else ""
        name = name or _ending_in(EMBEDDING_NAMES, shapes, "input") or _only(n_vocab, shapes)
    elif wanted == "positions":
        name = _ending_in(POSITION_NAMES, shapes, wanted)
        if not name:
            raise TrialError("the model has no matrix of positions: they are computed, not learned")
    else:
        roles = [role for role in ("input", "output", "positions") if role not in shapes]
        raise TrialError(f"no tensor '{wanted}' in the file; {nearest(wanted, [*shapes, *roles])}")
    shape = shapes[name]
    if shape is not None and (len(shape) != 2 or 0 in shape):
        raise TrialError(f"tensor '{name}' has shape {shape}; an embedding is (n_vocab, d_model)")
    return name


def tied_fact(names: Iterable[str], declared: bool | None = None) -> str:
    """Whether input and output embedding are one matrix: as declared, else by tensor names."""
    if declared is None:
        declared = not any(map(is_output, names))
    return "yes" if declared else "no"


def is_output(name: str) -> bool:
    """Whether a tensor of that name is an output embedding."""
    return name.endswith(OUTPUT_NAMES)


def rows_are_positions(name: str) -> bool:
    """Whether the rows of that tensor, or of the tensor that this word asks for, are positions."""
    return name == "positions" or _ends_in(name, POSITION_NAMES)


def reading(wanted: str) -> tuple[str, ...]:
    """What a digest must add to a tensor's name, because the tensor is not read as it is stored."""
    if _ends_in(wanted, _TRANSPOSED):
        return ("transposed",)
    return ("positions",) if rows_are_positions(wanted) else ()


def oriented_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape with a row per token: some formats store the output embedding transposed."""
    return shape[::-1] if _ends_in(name, _TRANSPOSED) else shape


def oriented(name: str, matrix: np.ndarray) -> np.ndarray:
    """The matrix with a row per token."""
    return np.ascontiguousarray(matrix.T) if _ends_in(name, _TRANSPOSED) else matrix


def _ends_in(name: str, endings: Iterable[str]) -> bool:
    return any(name == ending or name.endswith(f".{ending}") for ending in endings)


def _ending_in(endings: Iterable[str], names: Iterable[str], role: str) -> str:
    names = list(names)
    for ending in endings:
        found = sorted(
            (name for name in names if _ends_in(name, (ending,))), key=lambda name: name.count(".")
        )
        if len(found) > 1 and found[0].count(".") == found[1].count("."):
            what = "matrix of positions" if role == "positions" else f"{role} embedding"
            raise TrialError(
                f"'{found[0]}' and '{found[1]}' could both be the {what}: name one after a #"
            )
        if found:
            return found[0]
    return ""


def _only(n_vocab: int | None, shapes: Mapping[str, tuple[int, ...] | None]) -> str:
    found = [n for n, shape in shapes.items() if shape and len(shape) == 2 and shape[0] == n_vocab]
    if len(found) == 1:
        return found[0]
    if len(shapes) == 1:
        return next(iter(shapes))
    raise TrialError(
        "no tensor with a usual name for the input embedding: name one after a #; "
        + nearest("embedding.weight", shapes)
    )
