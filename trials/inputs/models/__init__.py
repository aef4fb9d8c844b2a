"""Whole language models by the URI of their embedding matrix, for what needs more than the matrix.

    model = open_model("hub:gpt2")            # or gguf:PATH, wheel:NAME, run:RUN_ID/model
    model.input_embedding.weight              # (n_vocab, d_model), trainable

Weights are float32, on the CPU, without dropout. A model of one of our own trials exists if the
trial ran with `keep_model`. Everything a user can fix is a `TrialError`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors.numpy import load_file

from trials.api import TrialError
from trials.inputs.local_files import regular_file
from trials.inputs.sources.formats.gguf_file import shard_count
from trials.inputs.sources.schemes.wheel import gguf_of
from trials.inputs.sources.uri import SourceUri, parse_uri
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    import transformers
    from torch import nn
    from transformers import PreTrainedModel
    from transformers.utils import logging as transformers_logging

    from trials.inputs.models import gpt2
    from trials.inputs.sources.schemes import hub
else:  # declarations check the URI of a model here, and must not wait seconds for these
    torch = lazy_module("torch")
    transformers = lazy_module("transformers")
    transformers_logging = lazy_module("transformers.utils.logging")
    gpt2 = lazy_module("trials.inputs.models.gpt2")
    hub = lazy_module("trials.inputs.sources.schemes.hub")

__all__ = ["ARCHITECTURE", "MODEL_SCHEMES", "LanguageModel", "check_model_uri", "open_model"]

MODEL_SCHEMES = ("hub", "gguf", "wheel", "run")
ARCHITECTURE = "architecture"
"""The table, stored with the weights of a trial's model, that says how to build it."""


class LanguageModel(NamedTuple):
    """A causal language model.

    Attributes:
        model: of transformers, in evaluation mode; `model(ids).logits` are the logits.
        uri: as given.
    """

    model: PreTrainedModel
    uri: str

    @property
    def input_embedding(self) -> nn.Embedding:
        """The layer whose weight has a row for each token that is read."""
        layer: Any = self.model.get_input_embeddings()
        return layer

    @property
    def output_embedding(self) -> nn.Linear:
        """The layer whose weight has a row for each token that is predicted."""
        layer: Any = self.model.get_output_embeddings()
        return layer

    @property
    def tied(self) -> bool:
        """Whether the two are one matrix."""
        return self.output_embedding.weight is self.input_embedding.weight

    @property
    def context(self) -> int:
        """The longest sequence that the model was made for, in tokens."""
        settings = self.model.config
        longest: int = getattr(settings, "max_position_embeddings", None) or settings.n_positions
        return longest


def check_model_uri(text: str) -> str:
    """`text` if it can name a model; ValueError with the rule otherwise."""
    try:
        source = parse_uri(text)
    except TrialError as error:
        raise ValueError(str(error)) from error
    if source.scheme not in MODEL_SCHEMES or source.tensor:
        raise ValueError(
            f"{text!r} names no model; allowed: hub:NAME[@REVISION], gguf:PATH, wheel:NAME, "
            "run:RUN_ID/model"
        )
    return text


def open_model(
    uri: str, *, fetch_artifact: Callable[[str, str], Path] | None = None
) -> LanguageModel:
    """Load a model. Raises TrialError: no such model, or not a causal language model."""
    source = parse_uri(check_model_uri(uri))
    match source.scheme:
        case "run":
            model = _of_a_run(source, fetch_artifact)
        case "hub":
            model = _of_the_hub(source)
        case "wheel":
            with gguf_of(source) as path:
                model = _of_gguf(source, path)
        case _:
            _check_one_file(source)
            model = _of_gguf(source, source.path)
    return LanguageModel(model.eval(), uri)


def _check_one_file(source: SourceUri) -> None:
    """TrialError for a shard: transformers would fill the missing weights with random numbers."""
    try:
        regular_file(source.path)
        n_shards = shard_count(source.path)
    except (TrialError, OSError) as error:
        raise source.error(str(error)) from error
    if n_shards > 1:
        raise source.error(
            f"a whole model is read from one GGUF file, and this is one of {n_shards} shards: "
            "merge them with llama-gguf-split --merge"
        )


def _of_the_hub(source: SourceUri) -> PreTrainedModel:
    return _loaded(source, source.body, revision=hub.commit_of(source))


def _of_gguf(source: SourceUri, path: Path) -> PreTrainedModel:
    return _loaded(source, str(path.parent), gguf_file=path.name)


def _loaded(source: SourceUri, name: str, **which: str) -> PreTrainedModel:
    bar_shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model: PreTrainedModel = transformers.AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.float32, **which
        )
    except (OSError, ValueError) as error:
        raise source.error(str(error)) from error
    finally:
        if bar_shown:
            transformers_logging.enable_progress_bar()
    return model


def _of_a_run(source: SourceUri, fetch: Callable[[str, str], Path] | None) -> PreTrainedModel:
    if fetch is None:
        raise source.error("a run's model can be read only by a trial of a sweep")
    run_id, _, stem = source.body.partition("/")
    try:
        weights = load_file(fetch(run_id, f"{stem}.safetensors"))
        with fetch(run_id, f"{ARCHITECTURE}.csv").open(newline="", encoding="utf-8") as file:
            shape = gpt2.Architecture.from_table(list(csv.DictReader(file)))
        return gpt2.restored_gpt2(shape, weights)
    except (OSError, LookupError, ValueError) as error:
        raise source.error(
            f"run {run_id} left no model that can be read ({error}); a trial of kind pretrain "
            "leaves one with keep_model: true"
        ) from error
