from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from trials.pretrain.config import SIZES, PretrainConfig


def config(**fields: Any) -> PretrainConfig:
    return PretrainConfig.model_validate({"tying": "untied", **fields})


@pytest.mark.parametrize("size", list(SIZES))
def test_a_size_is_spelt_out_in_the_resolved_config(size: str) -> None:
    resolved = config(size=size).model_dump()
    assert resolved.items() >= SIZES[size].items()  # type: ignore[index]
    assert PretrainConfig.model_validate(resolved).model_dump() == resolved


def test_what_is_given_goes_before_the_size() -> None:
    resolved = config(size="124m", n_layers=3, corpus="stdlib:", corpus_bytes="all")
    assert (resolved.n_layers, resolved.d_model) == (3, 768)
    assert (resolved.corpus, resolved.corpus_bytes) == ("stdlib:", "all")
    assert config(batch_size=20).micro_batch_size == 20
    assert config(tokenizer="hub:gpt2").n_vocab is None


def test_124m_is_gpt2s_smallest() -> None:
    resolved = config(size="124m")
    assert (resolved.n_layers, resolved.n_heads, resolved.d_model) == (12, 12, 768)
    assert (resolved.context, resolved.tokenizer) == (1024, "hub:gpt2")


def test_a_row_norm_that_reaches_logits_of_ten() -> None:
    # A final state of layer norm has length sqrt(d_model).
    assert config(d_model=64).resolved_row_norm * 8 == pytest.approx(10)
    assert config(d_model=64, row_norm="initial").resolved_row_norm == pytest.approx(0.16)
    assert config(row_norm=2.5).resolved_row_norm == 2.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tying": None}, "Input should be 'tied' or 'untied'"),
        ({"size": "huge"}, "Input should be 'tiny', 'small' or '124m'"),
        (
            {"tying": "tied", "input_embedding": "frozen_random"},
            "input_embedding is frozen_random and output_embedding learned; tied, they are one "
            "matrix and must be the same",
        ),
        (
            {"output_embedding": "frozen_learned"},
            "output_embedding frozen_learned needs output_rows_from, such as run:",
        ),
        (
            {"input_embedding": "frozen_random", "rows_distribution": "norm_matched"},
            "input_embedding frozen_random, norm_matched needs input_rows_from",
        ),
        (
            {"max_cosine": 0.5, "rows_distribution": "normal"},
            "max_cosine is 0.5; rows_distribution normal has no threshold",
        ),
        ({"n_heads": 5}, "d_model is 64, which n_heads 5 does not divide"),
        (
            {"micro_batch_size": 5},
            "batch_size is 32, which micro_batch_size 5 does not divide",
        ),
        (
            {"n_tokens": 200_000},
            "n_tokens 200000 are 97 steps of 32 x 64 tokens; there must be more than "
            "warm_up_steps 100",
        ),
        ({"row_norm": -1.0}, "row_norm is -1.0; it must be above 0"),
    ],
)
def test_a_mistake_is_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        config(**fields)


def test_tying_has_no_default() -> None:
    with pytest.raises(ValidationError, match=r"tying\n  Field required"):
        PretrainConfig.model_validate({})
