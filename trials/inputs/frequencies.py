"""Token frequencies: by Zipf's law, counted by the source, from a file, or from a corpus."""

from __future__ import annotations

import functools
import hashlib
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.digests import file_sha256
from trials.inputs.local_files import regular_file, user_path
from trials.inputs.messages import problem_of
from trials.inputs.sources.formats import npy_file

FORMS = ("zipf", "source", "counts:PATH.npy", "corpus:PATH", "stdlib:")

_CHUNK_BYTES = 1 << 20
_NOT_PROSE = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


class FrequencyTable(NamedTuple):
    """Relative frequencies of the tokens.

    Attributes:
        probabilities: float64, (n_vocab,); positive, sums to 1.
        name: where they come from, for the record.
    """

    probabilities: np.ndarray
    name: str


def check_form(spec: str) -> str:
    """`spec` if it has one of `FORMS`; ValueError otherwise."""
    scheme, colon, path = spec.partition(":")
    needs_path = scheme in ("counts", "corpus") and colon and path
    if spec in ("zipf", "source", "stdlib:") or (
        needs_path and (scheme != "counts" or path[-4:] == ".npy")
    ):
        return spec
    raise ValueError(f"{spec!r} is no frequency table; allowed: {', '.join(FORMS)}")


def token_frequencies(
    spec: str,
    merge_rank: np.ndarray,
    load_tokenizer: Callable[[], Any],
    source_counts: np.ndarray | None = None,
) -> FrequencyTable:
    """The table that `spec` names, for a vocabulary of `len(merge_rank)` tokens.

    Counts are increased by one, so that a token that never occurs keeps a weight.
    `load_tokenizer` gives a `tokenizers.Tokenizer`; it is called for a corpus only.
    `source_counts` are what the source of the matrix counted.
    Raises TrialError for a file that does not exist or does not fit the vocabulary, and for a
    source that counted nothing.
    """
    n_vocab = len(merge_rank)
    scheme, _, path = spec.partition(":")
    if scheme == "zipf":
        rank = np.empty(n_vocab)
        rank[np.argsort(merge_rank, kind="stable")] = np.arange(1, n_vocab + 1)
        return FrequencyTable(_normalised(1 / rank), "Zipf, 1 / (1 + rank of the merge)")
    if scheme == "source":
        if source_counts is None:
            raise TrialError(
                "frequencies 'source' needs a source that counted its tokens, such as "
                f"run:RUN_ID/step-001000 of kind pretrain; others allowed: {', '.join(FORMS)}"
            )
        return FrequencyTable(_normalised(source_counts + 1.0), "counts + 1 of the training text")
    if scheme == "counts":
        counts = _read_counts(user_path(path), n_vocab)
        return FrequencyTable(_normalised(counts + 1.0), f"counts of {Path(path).name} + 1")
    folder, name = corpus_root(spec)
    counts = count_tokens(corpus_chunks(folder), load_tokenizer(), n_vocab)
    return FrequencyTable(
        _normalised(counts + 1.0), f"counts + 1 over {int(counts.sum())} tokens of {name}"
    )


def frequency_digest(spec: str) -> str:
    """SHA-256 of what the table is made from ("" where the matrix itself is enough).

    Raises TrialError for a file that does not exist.
    """
    if spec in ("zipf", "source"):
        return ""
    if spec.startswith("counts:"):
        path = user_path(spec.removeprefix("counts:"))
        _counts_header(path)
        return file_sha256(path)
    root, _ = corpus_root(spec)
    digest = hashlib.sha256()
    for file in corpus_files(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def effective_sample_size(weights: np.ndarray) -> float:
    """(sum w)^2 / sum w^2: the number of equally weighted tokens that would average as well."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def count_tokens(chunks: Iterator[str], tokenizer: Any, n_vocab: int) -> np.ndarray:
    """Occurrences of each token id in the text, float64 (n_vocab,); ids past the matrix dropped."""
    counts = np.zeros(n_vocab)
    for chunk in chunks:
        ids = np.asarray(tokenizer.encode(chunk, add_special_tokens=False).ids, dtype=np.int64)
        counts += np.bincount(ids[ids < n_vocab], minlength=n_vocab)
    return counts


def corpus_chunks(root: Path) -> Iterator[str]:
    """The text of a file, or of all UTF-8 files of a folder in path order, in whole lines."""
    for file in corpus_files(root):
        with file.open(encoding="utf-8") as lines:
            try:
                while block := lines.readlines(_CHUNK_BYTES):
                    yield "".join(block)
            except UnicodeDecodeError:
                continue


def corpus_root(spec: str) -> tuple[Path, str]:
    """The file or folder that `corpus:PATH` or `stdlib:` names, and its name for the record.

    Raises TrialError if it does not exist.
    """
    if spec == "stdlib:":
        return Path(sysconfig.get_path("stdlib")), "the sources of Python's standard library"
    root = user_path(spec.removeprefix("corpus:"))
    if not root.exists():
        raise TrialError(f"{spec!r}: no such file or folder")
    return root, root.name


def corpus_files(root: Path) -> list[Path]:
    """The files of a corpus in path order: `root` itself, or those of the folder."""
    if root.is_file():
        return [root]
    if root == Path(sysconfig.get_path("stdlib")):
        return _library_files(root)
    return [file for file in sorted(root.rglob("*")) if file.is_file()]


@functools.cache
def _library_files(root: Path) -> list[Path]:
    """Sources of the library itself; found once, as installed packages lie in the same folder."""
    files = sorted(root.rglob("*.py"))
    files = [f for f in files if _NOT_PROSE.isdisjoint(f.relative_to(root).parts)]
    return [f for f in files if f.is_file()]


def _read_counts(path: Path, n_vocab: int) -> np.ndarray:
    header = _counts_header(path)
    if header.shape != (n_vocab,):
        raise TrialError(
            f"frequencies 'counts:{path}' has shape {header.shape}, one count for each of the "
            f"{n_vocab} tokens is needed"
        )
    counts = npy_file.read_array(path, header)
    if not np.isfinite(counts).all() or counts.min() < 0:
        raise TrialError(f"frequencies 'counts:{path}': counts must be finite and not negative")
    return counts.astype(np.float64)


def _counts_header(path: Path) -> npy_file.NpyHeader:
    try:
        regular_file(path)
        header = npy_file.read_header(path)
        if header.dtype.kind not in "iuf":
            raise TrialError(f"{path.name} holds {header.dtype}, not numbers")
    except TrialError as error:
        raise TrialError(f"frequencies 'counts:{path}': {error}") from error
    except OSError as error:
        raise TrialError(f"frequencies 'counts:{path}': {problem_of(error)}") from error
    return header


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()
