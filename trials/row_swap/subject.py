"""What a trial is about: a trained model, and text in its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trials.api import Context
from trials.inputs.corpora import TokenisedCorpus, corpus_digests, open_corpus
from trials.row_swap.config import RowSwapConfig

if TYPE_CHECKING:
    from trials.inputs.models import LanguageModel


class Subject(NamedTuple):
    """A model and its text; each side of the model has a matrix of its own where one is changed."""

    opened: LanguageModel
    corpus: TokenisedCorpus


def open_subject(config: RowSwapConfig, context: Context) -> Subject:
    """Load both. Raises TrialError if the text is in other tokens than the model's."""
    from trials.inputs.models import open_model
    from trials.inputs.models.text import check_tokens
    from trials.row_swap.stages import untie

    fetch = context.fetch_artifact
    opened = open_model(config.model, fetch_artifact=fetch)
    corpus = open_corpus(config, n_threads=context.n_threads)
    check_tokens(opened, corpus, config, fetch_artifact=fetch)
    untie(opened, config.scope)
    return Subject(opened, corpus)


def input_digests(config: RowSwapConfig) -> dict[str, str]:
    """Digests of the model, the text, and the dictionary where there is one."""
    from trials.inputs.dictionaries import dictionary_digest
    from trials.inputs.sources import source_digest

    digests = corpus_digests(config) | {"model": source_digest(config.model)}
    if config.dictionary is not None:
        digests["dictionary"] = dictionary_digest(config.dictionary)
    return digests
