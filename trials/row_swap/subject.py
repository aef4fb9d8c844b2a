"""What a trial is about: a trained model, and text in its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trials.api import Context, TrialError
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
    from trials.row_swap.finetune import untie

    opened = open_model(config.model, fetch_artifact=context.fetch_artifact)
    corpus = open_corpus(config, n_threads=context.n_threads)
    _check_vocabulary(config, corpus, opened, context)
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


def _check_vocabulary(
    config: RowSwapConfig, corpus: TokenisedCorpus, opened: LanguageModel, context: Context
) -> None:
    n_rows = opened.input_embedding.weight.shape[0]
    if corpus.n_vocab > n_rows:
        raise TrialError(
            f"{config.tokenizer} has {corpus.n_vocab} tokens and {config.model} {n_rows} rows: the "
            "tokenizer must be the model's"
        )
    if config.model.startswith("run:"):
        from trials.inputs.sources.run import vocabulary_of

        run_id = config.model.removeprefix("run:").partition("/")[0]
        if vocabulary_of(run_id, context.fetch_artifact).tokens != corpus.vocabulary.tokens:
            raise TrialError(
                f"{config.model} was trained on other tokens than {config.tokenizer} on "
                f"{config.corpus}: give the corpus and n_vocab of that trial"
            )
