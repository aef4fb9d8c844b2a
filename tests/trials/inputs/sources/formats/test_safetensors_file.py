from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from trials.api import TrialError
from trials.inputs.sources.formats.byte_ranges import LocalBytes
from trials.inputs.sources.formats.safetensors_file import read_header, read_matrix
from trials.inputs.sources.loaded import float32_rows


def written(path: Path, header: Any, n_data: int, *, n_header: int | None = None) -> LocalBytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if n_header is None else n_header
    path.write_bytes(length.to_bytes(8, "little") + text + bytes(n_data))
    return LocalBytes(path)


def entry(begin: int, end: int, shape: Any = (2, 2), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_file_of_the_safetensors_library_is_read_exactly(tmp_path: Path, dtype: str) -> None:
    tensors = {
        "a": np.arange(6, dtype=dtype).reshape(2, 3),
        "b": np.arange(4).reshape(2, 2),
        "c": np.arange(8, dtype=dtype).reshape(4, 2) / 7,
    }
    save_file(tensors, tmp_path / "x.safetensors", {"format": "pt"})
    file = LocalBytes(tmp_path / "x.safetensors")
    spans = read_header(file)
    assert spans.keys() == tensors.keys()
    assert np.array_equal(read_matrix(file, spans["c"]), tensors["c"])


def test_a_header_longer_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    tensors = {f"layer.{i}.with.a.rather.long.name": np.full((1, 2), i) for i in range(500)}
    save_file(tensors, tmp_path / "x.safetensors")
    spans = read_header(LocalBytes(tmp_path / "x.safetensors"))
    assert spans.keys() == tensors.keys()


def test_bfloat16_is_widened_exactly() -> None:
    exact = np.array([[1.0, -2.5], [0.0, 3.0e38]], dtype=np.float32)
    bits = (exact.view(np.uint32) >> 16).astype(np.uint16)
    widened = float32_rows(bits)
    assert widened.dtype == np.float32
    assert widened[0].tolist() == [1.0, -2.5]
    assert np.all(np.abs(widened - exact) <= np.abs(exact) * 2.0**-8)


def test_a_header_that_claims_a_huge_length_is_refused_unread(tmp_path: Path) -> None:
    file = written(tmp_path / "x", {}, 0, n_header=2**62)
    with pytest.raises(TrialError, match="claims a header of 4611686018427387904 bytes"):
        read_header(file)


@pytest.mark.parametrize(
    ("header", "n_data", "problem"),
    [
        ({"a": entry(0, 16), "b": entry(8, 24)}, 24, "'b' overlaps or leaves a gap"),
        ({"a": entry(0, 16), "b": entry(20, 36)}, 36, "'b' overlaps or leaves a gap"),
        ({"a": entry(16, 0, (0, 2), "U8")}, 16, "overlaps or leaves a gap"),
        ({"a": entry(0, 16)}, 12, r"should have \d+ bytes"),
        ({"a": entry(0, 16)}, 17, r"should have \d+ bytes"),
        ({"a": entry(0, 12)}, 12, "12 bytes for shape"),
        ({"a": entry(0, 16, (-2, -2))}, 16, "non-negative integers"),
        ({"a": entry(0, 16, (True, 4))}, 16, "non-negative integers"),
        ({"a": entry(0, 16, (2.0, 2))}, 16, "non-negative integers"),
        ({"a": entry(0, 16, 4)}, 16, "header"),
        ({"a": {"dtype": "F32"}}, 16, "header"),
        ({"a": 3}, 16, "header"),
        ([1, 2], 0, "header"),
        (b'{"a": 1, "a": 2}', 0, "a name twice"),
        (b"not json", 0, "header"),
        (b"\xff\xfe\xfd\xfc", 0, "header"),
        (b"[" * 100_000, 0, "header"),
    ],
)
def test_a_hostile_header_is_refused(
    tmp_path: Path, header: Any, n_data: int, problem: str
) -> None:
    with pytest.raises(TrialError, match=problem):
        read_header(written(tmp_path / "x", header, n_data))


@pytest.mark.parametrize("content", [b"", b"abc", b"\x00" * 8, b"\x00" * 64])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TrialError, match="not a safetensors file"):
        read_header(LocalBytes(tmp_path / "x"))


def test_integers_are_no_embedding(tmp_path: Path) -> None:
    save_file({"a": np.arange(4).reshape(2, 2)}, tmp_path / "x")
    file = LocalBytes(tmp_path / "x")
    with pytest.raises(TrialError, match="dtype I64 is not read; allowed: F64, F32, F16, BF16"):
        read_matrix(file, read_header(file)["a"])
