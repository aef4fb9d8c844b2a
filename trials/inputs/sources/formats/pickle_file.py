"""The embedding out of a `pytorch_model.bin`, for models that have no safetensors files.

The only module of the sources that uses torch, which it imports when a pickle is read.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trials.api import TrialError
from trials.inputs.sources.loaded import OUTPUT_NAMES, Loaded, find_embedding, tied_fact
from trials.inputs.sources.vocabulary import numbered_rows
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_module("torch")  # takes a second to import


def read_pickled(
    path: Path, wanted: str, config: dict[str, Any], elsewhere: Iterable[str] = ()
) -> Loaded:
    """Read one tensor with `weights_only=True`: no code in the pickle is run.

    Args:
        path: file of a state dict.
        wanted: name of the tensor ("" for the input embedding).
        config: the model's `config.json`.
        elsewhere: names of the tensors that the model keeps in other files.

    Raises:
        TrialError: the file holds more than tensors, or no such tensor.
    """
    try:
        # Only files in the newer zip format can be memory-mapped.
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise TrialError(f"{path.name} is refused: not a plain file of tensors") from error
    if not isinstance(state, dict):
        raise TrialError(f"{path.name} holds a {type(state).__name__}, not tensors by name")
    tensors = {str(name): t for name, t in state.items() if isinstance(t, torch.Tensor)}
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    name = find_embedding(shapes, wanted, config.get("vocab_size"))
    rows = tensors[name].to(torch.float32).contiguous().numpy()
    facts = {
        "tensor": name,
        "dtype": str(tensors[name].dtype).removeprefix("torch."),
        "tied": tied_fact(
            [*_with_memory_of_their_own(tensors), *elsewhere], config.get("tie_word_embeddings")
        ),
    }
    return Loaded(rows, numbered_rows(len(rows)), facts)


def _with_memory_of_their_own(tensors: dict[str, torch.Tensor]) -> list[str]:
    """Names, without an output embedding that shares its memory with another tensor.

    A pickle, unlike safetensors, lists a tied matrix under both names.
    """
    others = {t.data_ptr() for name, t in tensors.items() if not name.endswith(OUTPUT_NAMES)}
    return [
        name
        for name, tensor in tensors.items()
        if not (name.endswith(OUTPUT_NAMES) and tensor.data_ptr() in others)
    ]
