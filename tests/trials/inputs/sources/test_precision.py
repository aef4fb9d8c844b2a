from __future__ import annotations

import gguf
import numpy as np
import pytest

from trials.api import TrialError
from trials.inputs.sources.precision import rounded, rounding_error, stored_precision

EVERY = ["Q8_0", "Q5_0", "Q4_0", "Q5_1", "Q4_1", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K"]
EVERY += ["BF16", "F16"]


def rows(n: int = 400, d_model: int = 96) -> np.ndarray:
    rng = np.random.default_rng(0)
    scales = rng.lognormal(size=(n, 1))
    return (0.05 * scales * rng.standard_normal((n, d_model))).astype(np.float32)


@pytest.mark.parametrize("precision", EVERY)
def test_the_error_read_off_rounded_rows_is_the_error_that_rounding_made(precision: str) -> None:
    given = rows()
    stored = rounded(given, precision)
    made = ((stored - given).astype(np.float64) ** 2).sum(axis=1)
    mean, deviation = rounding_error(stored, precision)
    assert made.sum() == pytest.approx(mean.sum(), rel=0.12)
    assert (made < mean + 4 * deviation).mean() > 0.99


@pytest.mark.parametrize("name", ["Q8_0", "Q5_1", "Q4_1", "BF16", "F16"])
def test_rounding_is_what_a_gguf_file_does(name: str) -> None:
    given, kind = rows(), gguf.GGMLQuantizationType[name]
    theirs = gguf.dequantize(gguf.quantize(given, kind), kind).reshape(given.shape)
    ours = rounded(given, name)
    # A tie, or a scale at the edge of two float16 numbers, may go either way.
    assert (np.abs(ours - theirs) < 1e-6).mean() > 0.98
    assert ((ours - given) ** 2).sum() == pytest.approx(((theirs - given) ** 2).sum(), rel=0.02)


@pytest.mark.parametrize("precision", ["Q8_0", "BF16", "F16"])
def test_a_wide_file_of_rounded_numbers_is_recognised(precision: str) -> None:
    stored = rounded(rows(), precision)
    assert stored_precision(stored, "F32") == precision
    np.testing.assert_array_equal(rounded(stored, precision), stored)


def test_full_precision_stays_so() -> None:
    assert stored_precision(rows(), "float32") == "F32"
    assert stored_precision(rows(), "BF16") == "BF16"
    assert stored_precision(rows(), "Q8_0") == "Q8_0"
    np.testing.assert_array_equal(rounded(rows(), "F32"), rows())


def test_a_last_block_may_be_shorter() -> None:
    given = rows(d_model=40)
    stored = rounded(given, "Q8_0")
    assert stored.shape == given.shape
    mean, _ = rounding_error(stored, "Q8_0")
    assert ((stored - given) ** 2).sum() == pytest.approx(mean.sum(), rel=0.1)


def test_rows_of_zeros_have_no_rounding_error_in_blocks() -> None:
    zeros = np.zeros((2, 32), dtype=np.float32)
    np.testing.assert_array_equal(rounded(zeros, "Q8_0"), zeros)
    assert not rounding_error(zeros, "Q8_0")[0].any()


def test_a_type_of_unknown_rounding_is_named() -> None:
    assert stored_precision(rows(), "IQ4_XS") == "IQ4_XS"
    with pytest.raises(TrialError, match="rounding of dtype IQ4_XS is not known here; known: Q8_0"):
        rounded(rows(), "IQ4_XS")
