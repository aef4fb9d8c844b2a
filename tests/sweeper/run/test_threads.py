"""The share of a trial in the machine's cores."""

from __future__ import annotations

from sweeper.run.worker.threads import limited_threads


def test_libraries_have_their_threads_back_after_a_trial() -> None:
    import numba
    import torch

    before = numba.get_num_threads(), torch.get_num_threads()
    with limited_threads(before[1] + 1):
        assert torch.get_num_threads() == before[1] + 1
    assert (numba.get_num_threads(), torch.get_num_threads()) == before
