"""A corpus as token ids on disk: made once, memory-mapped by every trial."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from trials.api import TrialError
from trials.inputs.corpora.reading import Piece
from trials.inputs.corpora.tokenizers import end_of_text
from trials.inputs.digests import text_digest
from trials.inputs.sources.vocabulary import Vocabulary, from_tokenizer_json

SIDES = ("train", "validation", "held_out")

_BATCH_BYTES = 1 << 20

_OVERALL = 0.3
"""How much it counts that a side lacks bytes at all, next to bytes of pieces of this size."""


class TokenisedCorpus(NamedTuple):
    """Three streams of token ids and what the ids mean.

    Attributes:
        train, validation, held_out: uint16 or uint32, read from disk as they are used.
        counts: int64, (n_vocab,); occurrences in `train`.
        bytes_per_token: of each side, UTF-8 bytes of its text over its tokens.
        vocabulary: texts, special tokens and merge ranks.
        digest: SHA-256 over the three streams and the vocabulary, in hexadecimal.
        counts_path: where the counts lie, for `counts:PATH.npy` frequencies.
        tokenizer_path: the `tokenizer.json`.
    """

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray
    counts: np.ndarray
    bytes_per_token: dict[str, float]
    vocabulary: Vocabulary
    digest: str
    counts_path: Path
    tokenizer_path: Path

    @property
    def n_vocab(self) -> int:
        """Tokens of the vocabulary, special ones included."""
        return len(self.counts)


class Dealer:
    """Deals pieces to the sides so that each side has its share of the bytes at every point.

    Neighbouring pieces mostly go to the training side, with one for another side in between, so
    all sides draw from all parts of the corpus. Of pieces of each size too, every side has its
    share: else long ones would mostly be training's, and held-out text short. Deterministic.
    """

    def __init__(self, validation_frac: float, held_out_frac: float) -> None:
        self._shares = np.array(
            [1 - validation_frac - held_out_frac, validation_frac, held_out_frac]
        )
        self._dealt = np.zeros(3)
        self._dealt_of_size: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(3))

    def side_of(self, n_bytes: int) -> int:
        """The side, as an index into `SIDES`, that is furthest behind its share takes the piece."""
        alike = self._dealt_of_size[n_bytes.bit_length()]
        behind = self._behind(alike, n_bytes) + _OVERALL * self._behind(self._dealt, n_bytes)
        side = int(np.argmax(behind))
        for dealt in (alike, self._dealt):
            dealt[side] += n_bytes
        return side

    def _behind(self, dealt: np.ndarray, n_bytes: int) -> np.ndarray:
        return self._shares * (dealt.sum() + n_bytes) - dealt


def write_tokens(
    folder: Path, pieces: Iterator[Piece], tokenizer: Tokenizer, dealer: Dealer
) -> None:
    """Tokenise the pieces and deal them to the sides; `folder` appears whole, in one rename.

    An end-of-text token separates pieces of a side that did not follow each other in a document.
    Must not run concurrently for the same folder. Raises TrialError if a side gets no text.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    n_vocab = tokenizer.get_vocab_size()
    dtype = np.dtype(np.uint16 if n_vocab <= 1 << 16 else np.uint32)
    writers = [_Stream(partial / f"{side}.bin", dtype, n_vocab) for side in SIDES]
    end = [token] if (token := end_of_text(tokenizer)) is not None else []
    last_side = None
    for batch in _batches(pieces):
        encodings = tokenizer.encode_batch_fast([p.text for p in batch], add_special_tokens=False)
        for piece, encoding in zip(batch, encodings, strict=True):
            side = dealer.side_of(piece.n_bytes)
            apart = end if piece.begins or side != last_side else []
            writers[side].write(apart + encoding.ids, piece.n_bytes)
            last_side = side
    described = {side: writer.close() for side, writer in zip(SIDES, writers, strict=True)}
    np.save(partial / "counts.npy", writers[0].counts)
    tokenizer.save(str(partial / "tokenizer.json"), pretty=False)
    header = {"dtype": dtype.name, "sides": described}
    (partial / "header.json").write_text(json.dumps(header), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def read_tokens(folder: Path) -> TokenisedCorpus | None:
    """What `write_tokens` left; None if there is none or a file has another size than written."""
    try:
        header = json.loads((folder / "header.json").read_text(encoding="utf-8"))
        train, validation, held_out = (
            _mapped(folder / f"{side}.bin", header, side) for side in SIDES
        )
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        counts = np.load(folder / "counts.npy", allow_pickle=False)
    except (OSError, ValueError, KeyError):
        return None
    sides = header["sides"]
    return TokenisedCorpus(
        train,
        validation,
        held_out,
        counts=counts,
        bytes_per_token={
            side: sides[side]["n_bytes"] / max(1, sides[side]["n_tokens"]) for side in SIDES
        },
        vocabulary=from_tokenizer_json(tokenizer).padded(len(counts)),
        digest=text_digest(tokenizer, *(sides[side]["sha256"] for side in SIDES)),
        counts_path=folder / "counts.npy",
        tokenizer_path=folder / "tokenizer.json",
    )


class _Stream:
    """The token ids of one side, appended to a file."""

    def __init__(self, path: Path, dtype: np.dtype[Any], n_vocab: int) -> None:
        self.counts = np.zeros(n_vocab, np.int64)
        self._name, self._file, self._dtype = path.stem, path.open("wb"), dtype
        self._digest = hashlib.sha256()
        self._n_bytes = 0

    def write(self, ids: list[int], n_bytes: int) -> None:
        array = np.asarray(ids, self._dtype)
        self.counts += np.bincount(array, minlength=len(self.counts))
        self._digest.update(array.data)
        self._file.write(array.data)
        self._n_bytes += n_bytes

    def close(self) -> dict[str, Any]:
        self._file.close()
        n_tokens = int(self.counts.sum())
        if n_tokens == 0:
            raise TrialError(
                f"the corpus has too little text: nothing is left for its {self._name} side; "
                "about 100 kB are the least"
            )
        return {
            "n_tokens": n_tokens,
            "n_bytes": self._n_bytes,
            "sha256": self._digest.hexdigest(),
        }


def _batches(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    n_bytes = 0
    for piece in pieces:
        batch.append(piece)
        n_bytes += piece.n_bytes
        if n_bytes >= _BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def _mapped(path: Path, header: dict[str, Any], side: str) -> np.ndarray:
    n_tokens = header["sides"][side]["n_tokens"]
    stream = np.memmap(path, np.dtype(header["dtype"]), mode="r")
    if len(stream) != n_tokens:
        raise ValueError(f"{path} holds {len(stream)} tokens, {n_tokens} were written")
    return stream
