from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.corpora.windows import ShuffledBatches, Windows

TOKENS = np.arange(101, dtype=np.uint16)


def test_every_token_but_the_first_is_a_target_once() -> None:
    windows = Windows(TOKENS, 10)
    assert len(windows) == 10
    assert windows[np.arange(10)][:, 1:].ravel().tolist() == list(range(1, 101))
    assert windows[np.array([3])][0].tolist() == list(range(30, 41))


@pytest.mark.parametrize(("n_tokens", "n_windows"), [(0, 0), (10, 0), (11, 1), (20, 1), (21, 2)])
def test_a_remainder_makes_no_window(n_tokens: int, n_windows: int) -> None:
    assert len(Windows(TOKENS[:n_tokens], 10)) == n_windows


def test_an_evaluation_spreads_over_the_stream() -> None:
    windows = Windows(TOKENS, 10)
    assert windows.evenly(30).tolist() == [0, 3, 6]
    assert windows.evenly(10_000).tolist() == list(range(10))
    assert windows.evenly(1).tolist() == [0]


def test_an_epoch_has_every_window_once_also_across_batches() -> None:
    batches = ShuffledBatches(Windows(TOKENS, 10), 4, seed=1)
    seen = np.concatenate([batches[step] for step in range(5)])
    assert seen.shape == (20, 11)
    first, second = seen[:10, 0] // 10, seen[10:, 0] // 10
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    windows = Windows(TOKENS, 10)
    batches = ShuffledBatches(windows, 4, seed=1)
    in_order = [batches[step] for step in range(6)]
    np.testing.assert_array_equal(ShuffledBatches(windows, 4, seed=1)[5], in_order[5])
    np.testing.assert_array_equal(batches[0], in_order[0])
    assert (ShuffledBatches(windows, 4, seed=2)[0] != in_order[0]).any()


def test_a_batch_may_be_larger_than_the_text() -> None:
    batch = ShuffledBatches(Windows(TOKENS[:21], 10), 5, seed=0)[0]
    assert sorted(batch[:2, 0]) == sorted(batch[2:4, 0]) == [0, 10]
