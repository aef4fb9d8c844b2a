"""A byte-level BPE tokenizer from its vocabulary and merges, as GGUF files keep them."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from trials.inputs.messages import nearest
from trials.inputs.sources.loaded import NoTokenizer

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LLAMA_3 = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")

# What llama.cpp calls a pre-tokenizer (`tokenizer.ggml.pre`) -> how text is cut before BPE.
_CUTS = {
    **dict.fromkeys(("gpt-2", "phi-2", "roberta-bpe", "mpt", "olmo", "jais"), "gpt-2"),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), "gpt-2, digits apart"
    ),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe", "falcon3"), _LLAMA_3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2"), _QWEN_2),
}
# These keep a word whole if it is in the vocabulary, without applying merges.
_WHOLE_WORDS = ("llama-bpe", "llama3", "llama-v3", "falcon3")


def build_tokenizer(
    pieces: Sequence[str],
    merges: Sequence[str],
    *,
    pre_tokenizer: str,
    special: Sequence[int],
    added: Sequence[int],
) -> Tokenizer:
    """The tokenizer; ids are rows.

    Args:
        pieces: the vocabulary in the alphabet of GPT-2's bytes.
        merges: "left right", in the order learned.
        pre_tokenizer: llama.cpp's name for how text is cut.
        special: rows of control tokens.
        added: rows of tokens that are found in the text before it is cut.

    Raises:
        TrialError: the pre-tokenizer is not known; guessing one would give other tokens.
    """
    if pre_tokenizer not in _CUTS:
        raise NoTokenizer(
            f"pre-tokenizer '{pre_tokenizer}' is not known; {nearest(pre_tokenizer, _CUTS)}"
        )
    tokenizer = Tokenizer(
        BPE(
            {piece: row for row, piece in enumerate(pieces)},
            [(left, right) for left, right in (merge.split(" ", 1) for merge in merges)],
            ignore_merges=pre_tokenizer in _WHOLE_WORDS,
        )
    )
    tokenizer.pre_tokenizer = _cut(_CUTS[pre_tokenizer])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(pieces[row], special=True) for row in special])
    tokenizer.add_tokens([AddedToken(pieces[row], normalized=False) for row in added])
    return tokenizer


def _cut(rule: str) -> pre_tokenizers.PreTokenizer:
    if rule == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if rule == "gpt-2, digits apart":
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(rule), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
