"""What trials are given: embedding matrices, texts, models, tasks, and nulls of all of these.

    sources            embedding matrices by URI, with their tokens and a digest
    rows               the rows of a trial: a matrix, its sample, weights, split, null and scaling
                       (built from `frequencies`, `splits`, `samples`, `preprocessing`)
    controls           rows without structure (nulls) and with planted structure
    dictionaries       dictionaries that other trials left
    corpora            texts as streams of token ids
    models             whole language models, by the URI of their embedding
    lexicon            what is known of tokens as words: labels, relations, ordered sets
    algorithmic_tasks  sequences whose answers are known
    cache, digests, local_files, messages   shared by all of these

    from trials.inputs import open_source

A kind that works on an embedding matrix starts with `rows`: its config inherits `RowsConfig`, and
`load_rows` does the rest. Importing a module of this package is cheap: torch, transformers and the
hub's client are loaded at first use (`trials.lazy`).
"""

from typing import TYPE_CHECKING

from trials.lazy import lazy_names

if TYPE_CHECKING:
    from trials.inputs.sources import EmbeddingMatrix, open_source, source_digest

__all__ = ["EmbeddingMatrix", "open_source", "source_digest"]

__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "trials.inputs.sources"))
