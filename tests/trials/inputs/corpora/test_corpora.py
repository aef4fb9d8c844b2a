from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from trials.api import TrialError
from trials.inputs import corpora
from trials.inputs.corpora import CorpusConfig, corpus_digests, open_corpus
from trials.inputs.corpora.tokenised import SIDES, Dealer, TokenisedCorpus
from trials.inputs.frequencies import token_frequencies


@pytest.fixture
def config(write_text: Callable[..., Path]) -> CorpusConfig:
    path = write_text(n_lines=8000)
    return CorpusConfig(
        corpus=f"corpus:{path}", n_vocab=285, validation_frac=0.1, held_out_frac=0.1
    )


def text_of(corpus: TokenisedCorpus, side: str) -> str:
    tokenizer = Tokenizer.from_file(str(corpus.tokenizer_path))
    decoded: str = tokenizer.decode(getattr(corpus, side).tolist(), skip_special_tokens=False)
    return decoded


def test_the_sides_are_disjoint_and_together_the_text(config: CorpusConfig) -> None:
    corpus = open_corpus(config)
    text = Path(config.corpus.removeprefix("corpus:")).read_text()
    pieces = {side: text_of(corpus, side).split("<|endoftext|>")[1:] for side in SIDES}
    assert "".join(sorted((p for ps in pieces.values() for p in ps), key=text.index)) == text
    shares = {side: len("".join(ps)) / len(text) for side, ps in pieces.items()}
    assert shares == pytest.approx({"train": 0.8, "validation": 0.1, "held_out": 0.1}, abs=0.05)


def test_counts_and_bytes_are_those_of_the_streams(config: CorpusConfig) -> None:
    corpus = open_corpus(config)
    assert corpus.n_vocab == 285
    assert corpus.train.dtype == np.uint16
    np.testing.assert_array_equal(corpus.counts, np.bincount(corpus.train, minlength=285))
    for side in SIDES:
        n_bytes = len(text_of(corpus, side).replace("<|endoftext|>", "").encode())
        assert corpus.bytes_per_token[side] == n_bytes / len(getattr(corpus, side))


def test_counts_weigh_the_tokens_of_a_pursuit(config: CorpusConfig) -> None:
    corpus = open_corpus(config)
    rank = corpus.vocabulary.merge_rank
    table = token_frequencies(f"counts:{corpus.counts_path}", rank, lambda: None)
    assert table.probabilities.argmax() == corpus.counts.argmax()


def test_a_learnt_vocabulary_has_all_bytes_an_end_and_merges(config: CorpusConfig) -> None:
    vocabulary = open_corpus(config).vocabulary
    assert vocabulary.tokens[0] == "<|endoftext|>"
    assert vocabulary.special.nonzero()[0].tolist() == [0]
    assert " slept" in vocabulary.tokens
    assert "\\xc3" in vocabulary.tokens


def test_tokens_are_made_once_and_the_same_again(
    config: CorpusConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = open_corpus(config)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "read_pieces", None)  # whoever reads the text again fails
        assert open_corpus(config).digest == first.digest
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "elsewhere"))
    again = open_corpus(config)
    assert again.counts_path != first.counts_path
    assert again.digest == first.digest
    np.testing.assert_array_equal(again.train, first.train)


def test_trials_at_once_tokenise_once(
    config: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write = corpora.write_tokens

    def counting(folder: Path, *rest: Any) -> None:
        written.append(folder)
        write(folder, *rest)

    monkeypatch.setattr(corpora, "write_tokens", counting)
    digests: list[str] = []
    threads = [
        threading.Thread(target=lambda: digests.append(open_corpus(config).digest))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 1
    assert len(digests) == 4
    assert len(set(digests)) == 1


@pytest.mark.parametrize("damage", ["cut", "lost", "left over"])
def test_token_files_that_are_damaged_are_made_again(config: CorpusConfig, damage: str) -> None:
    first = open_corpus(config)
    folder, digest = first.counts_path.parent, first.digest
    stream = folder / "train.bin"
    if damage == "cut":
        stream.write_bytes(stream.read_bytes()[:-2])
    elif damage == "lost":
        stream.unlink()
    else:  # of a process that was killed while it wrote
        folder.rename(folder.with_name(f".{folder.name}.partial"))
    again = open_corpus(config)
    assert again.digest == digest
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_digest_follows_the_text(config: CorpusConfig) -> None:
    before = corpus_digests(config)
    assert corpus_digests(config) == before
    path = Path(config.corpus.removeprefix("corpus:"))
    path.write_text(path.read_text().replace("cat", "cow"))
    assert corpus_digests(config) != before


def test_a_smaller_part_of_the_text_has_tokens_of_its_own(config: CorpusConfig) -> None:
    part = config.model_copy(update={"corpus_bytes": 200_000})
    assert len(open_corpus(part).train) < len(open_corpus(config).train)


def test_no_sealed_text_teaches_the_tokenizer(tmp_path: Path) -> None:
    """A word that only the sealed pieces have is no token."""
    text, dealer = "the cat sat on the mat.\n" * 600, Dealer(0.1, 0.1)
    (tmp_path / "texts").mkdir()
    for n in range(30):
        is_train = dealer.side_of(len(text)) == SIDES.index("train")
        path = tmp_path / "texts" / f"{n:02}.txt"
        path.write_text(text if is_train else text.replace("cat", "zyx"))
    config = CorpusConfig(
        corpus=f"corpus:{tmp_path}/texts", n_vocab=266, validation_frac=0.1, held_out_frac=0.1
    )
    corpus = open_corpus(config)
    assert "zyx" not in text_of(corpus, "train")
    assert "zyx" in text_of(corpus, "held_out")
    assert not any("zy" in token for token in corpus.vocabulary.tokens)


def test_long_pieces_are_held_out_as_often_as_short_ones() -> None:
    sizes = np.random.default_rng(0).choice([600, 3000, 16_384], size=3000)
    dealer = Dealer(0.1, 0.1)
    sides = np.array([dealer.side_of(int(size)) for size in sizes])
    for size in (600, 3000, 16_384):
        found = np.bincount(sides[sizes == size], minlength=3)
        assert found == pytest.approx(found.sum() * np.array([0.8, 0.1, 0.1]), abs=30)
    dealt = [int(sizes[sides == side].sum()) for side in range(3)]
    assert dealt == pytest.approx(sizes.sum() * np.array([0.8, 0.1, 0.1]), rel=0.01)


def test_a_text_too_short_for_its_vocabulary_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a b\n" * 10)
    config = CorpusConfig(corpus=f"corpus:{tmp_path}/short.txt")
    with pytest.raises(TrialError, match=r"n_vocab is 2000, and the training text gives 2\d\d tok"):
        open_corpus(config)


def test_a_text_too_short_to_split_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a b\n" * 10)
    config = CorpusConfig(corpus=f"corpus:{tmp_path}/short.txt", n_vocab=257)
    with pytest.raises(TrialError, match="too little text: nothing is left for its validation"):
        open_corpus(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"corpus": "book.txt"}, "'book.txt' is no corpus; allowed: stdlib:"),
        ({"corpus_bytes": 0}, 'corpus_bytes is 0; it must be "all" or above 0'),
        ({"tokenizer": "gpt2"}, "'gpt2' is no tokenizer; allowed: bpe, hub:NAME"),
        ({"tokenizer": "hub:gpt2"}, "n_vocab is 2000 with tokenizer hub:gpt2; bpe needs it"),
        ({"n_vocab": None}, "n_vocab is None with tokenizer bpe; bpe needs it"),
    ],
)
def test_a_mistake_in_a_config_is_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CorpusConfig(**fields)
