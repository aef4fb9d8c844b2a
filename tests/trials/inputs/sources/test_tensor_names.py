from __future__ import annotations

import pytest

from trials.api import TrialError
from trials.inputs.sources.tensor_names import find_embedding, tied_fact

MATRIX = (100, 8)


@pytest.mark.parametrize(
    "name",
    [
        "wte.weight",
        "transformer.wte.weight",
        "model.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
        "gpt_neox.embed_in.weight",
        "embeddings.word_embeddings.weight",
        "bert.embeddings.word_embeddings.weight",
        "language_model.model.embed_tokens.weight",
        "backbone.embeddings.weight",
    ],
)
def test_the_input_embedding_is_found_under_its_usual_names(name: str) -> None:
    others = {"lm_head.weight": MATRIX, "h.0.attn.weight": (8, 8), "wpe.weight": MATRIX}
    others["bert.embeddings.position_embeddings.weight"] = MATRIX
    assert find_embedding({**others, name: MATRIX}, "", 100) == name


def test_an_embedding_that_layers_repeat_is_taken_from_the_top() -> None:
    names = ("model.embed_tokens.weight", "model.layers.61.embed_tokens.weight")
    assert find_embedding(dict.fromkeys(names, MATRIX), "", None) == names[0]


def test_two_equal_candidates_are_refused_by_name() -> None:
    names = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    with pytest.raises(TrialError, match="could both be the input embedding"):
        find_embedding(dict.fromkeys(names, MATRIX), "", None)


def test_an_unusual_name_is_found_by_its_number_of_rows() -> None:
    shapes = {"lookup": MATRIX, "w": (8, 100), "bias": (100,)}
    assert find_embedding(shapes, "", 100) == "lookup"


@pytest.mark.parametrize("n_vocab", [None, 8, 100])
def test_without_one_matrix_of_that_many_rows_the_user_must_name_it(n_vocab: int | None) -> None:
    shapes = {"a": MATRIX, "b": MATRIX, "c": (9, 8)}
    with pytest.raises(TrialError, match="name one after a #"):
        find_embedding(shapes, "", n_vocab)


def test_a_tensor_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(TrialError, match=r"did you mean 'wte\.weight'\?"):
        find_embedding({"wte.weight": MATRIX, "b": (3,)}, "wte.wieght", None)


@pytest.mark.parametrize("shape", [(8,), (2, 3, 4), (0, 8), (8, 0)])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TrialError, match=r"an embedding is \(n_vocab, d_model\)"):
        find_embedding({"wte.weight": shape}, "wte.weight", None)


def test_tying_is_as_declared_or_else_read_off_the_names() -> None:
    assert tied_fact(["wte.weight"]) == "yes"
    assert tied_fact(["wte.weight", "lm_head.weight"]) == "no"
    assert tied_fact(["wte.weight", "lm_head.weight"], declared=True) == "yes"
