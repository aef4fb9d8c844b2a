"""Text that a model is measured on: it must be in the model's own tokens.

A trial that trains a model also stores which text it used (`text_table`), so that other trials can
open the same text, including its sealed part.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from trials.api import Table, TrialError
from trials.inputs.corpora import CorpusConfig, TokenisedCorpus, open_corpus
from trials.inputs.sources.schemes.run import vocabulary_of
from trials.inputs.sources.uri import parse_uri

if TYPE_CHECKING:
    from trials.inputs.models import LanguageModel

TEXT = "text"
"""The table, stored with the weights of a trial's model, that says what it was trained on."""

_FIELDS = tuple(CorpusConfig.model_fields.keys() - {"seed"})
_DIGEST = "digest"

FetchArtifact = Callable[[str, str], Path]


def text_table(config: CorpusConfig, corpus: TokenisedCorpus) -> Table:
    """Fields of the text and their values in JSON, and the digest of its tokens."""
    values = {name: getattr(config, name) for name in sorted(_FIELDS)} | {_DIGEST: corpus.digest}
    return {"field": list(values), "value": [json.dumps(value) for value in values.values()]}


def text_of_run(uri: str, *, fetch_artifact: FetchArtifact, n_threads: int) -> TokenisedCorpus:
    """The text that a run's model was trained on.

    Raises TrialError: the run left no `text_table`, or its text is not there any more.
    """
    run_id = _run_id(uri)
    try:
        with fetch_artifact(run_id, f"{TEXT}.csv").open(newline="", encoding="utf-8") as file:
            recorded = {row["field"]: json.loads(row["value"]) for row in csv.DictReader(file)}
        digest = recorded.pop(_DIGEST)
        config = CorpusConfig(**recorded)
    except (OSError, LookupError, ValueError, ValidationError) as error:
        raise TrialError(f"{uri}: run {run_id} does not say what its text was ({error})") from error
    corpus = open_corpus(config, n_threads=n_threads)
    if corpus.digest != digest:
        raise TrialError(f"{uri}: {config.corpus} is not the text any more that it was trained on")
    return corpus


def check_tokens(
    opened: LanguageModel,
    corpus: TokenisedCorpus,
    config: CorpusConfig,
    *,
    fetch_artifact: FetchArtifact,
) -> None:
    """Raises TrialError if the tokens of the text are not the model's."""
    n_rows = opened.input_embedding.weight.shape[0]
    if corpus.n_vocab > n_rows:
        raise TrialError(
            f"{config.tokenizer} has {corpus.n_vocab} tokens and {opened.uri} {n_rows} rows: the "
            "tokenizer must be the model's"
        )
    if not opened.uri.startswith("run:"):
        return
    if vocabulary_of(_run_id(opened.uri), fetch_artifact).tokens != corpus.vocabulary.tokens:
        raise TrialError(
            f"{opened.uri} was trained on other tokens than {config.tokenizer} on "
            f"{config.corpus}: give the corpus and n_vocab of that trial"
        )


def _run_id(uri: str) -> str:
    return parse_uri(uri).body.partition("/")[0]
