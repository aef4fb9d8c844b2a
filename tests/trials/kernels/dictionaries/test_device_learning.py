"""Learning in torch beside learning on the compiled loops; `test_learning` is their contract."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from tests.trials.kernels.devices import ON_TORCH
from tests.trials.kernels.dictionaries.test_learning import planted
from trials.kernels.compiled.dictionary_update import update_atoms
from trials.kernels.dictionaries import (
    _device_update,
    learn_dictionary,
    learn_greedy_dictionary,
    mean_max_cosine,
)
from trials.kernels.dictionaries._device_update import statistics, updated_atoms
from trials.kernels.sparse_coding import duality_gap
from trials.kernels.sparse_coding.device import memory
from trials.kernels.sparse_coding.device.device_codes import DeviceCodes


def learned(signals, device, **options):
    given = {"l1_penalty": 0.2, "rng": np.random.default_rng(0), "n_threads": 1} | options
    return learn_dictionary(signals, 80, device=device, **given)


@pytest.mark.parametrize("device", ON_TORCH)
@pytest.mark.parametrize("nonnegative", [False, True])
def test_both_paths_reach_the_same_objective_certified_in_float64(device, nonnegative):
    signals, _ = planted(1500, n_atoms=64, d_model=32)
    weights = np.random.default_rng(3).uniform(0.1, 3, len(signals))
    here, there = (
        learned(signals, d, weights=weights, nonnegative=nonnegative) for d in ("cpu", device)
    )
    assert there.converged
    assert there.objective[-1] == pytest.approx(here.objective[-1], rel=1e-2)
    honest = duality_gap(signals, there.atoms, there.codes, l1_penalty=0.2, nonnegative=nonnegative)
    assert there.gap == pytest.approx(honest.max(), abs=1e-12)
    assert there.gap <= 3e-4
    assert there.atoms.dtype == there.codes.dtype == np.float32
    assert there.codes.has_canonical_format


@pytest.mark.parametrize("device", ON_TORCH)
def test_planted_atoms_are_recovered(device):
    signals, truth = planted(1500, n_atoms=64, d_model=32)
    found = learned(signals, device, l1_penalty=0.1)
    assert abs(truth @ found.atoms.T).max(axis=1).mean() > 0.97


@pytest.mark.parametrize("device", ON_TORCH)
def test_greedy_learning_reaches_the_same_error(device):
    signals, _ = planted(800, n_atoms=48, d_model=32)
    here, there = (
        learn_greedy_dictionary(
            signals,
            48,
            mean_nonzero=4.0,
            max_passes=8,
            rng=np.random.default_rng(0),
            n_threads=1,
            device=d,
        )
        for d in ("cpu", device)
    )
    assert there.objective[-1] == pytest.approx(here.objective[-1], rel=0.1)
    assert mean_max_cosine(there.atoms, here.atoms) > 0.9
    residuals = (signals - there.codes @ there.atoms).astype(np.float64)
    assert there.objective[-1] == pytest.approx((residuals**2).sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("device", ON_TORCH)
@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_statistics_are_those_of_dense_algebra(device, dense_above, monkeypatch):
    monkeypatch.setattr(_device_update, "_DENSE_ABOVE", dense_above)
    monkeypatch.setattr(_device_update, "rows_per_block", lambda *_: 64)
    rng = np.random.default_rng(0)
    codes = csr_array(random_array((300, 40), density=0.1, rng=rng, format="csr"))
    signals, weights = rng.standard_normal((300, 12)), rng.uniform(0.1, 2.0, 300)
    usage, cross = statistics(
        torch.tensor(signals, device=device),
        weights,
        DeviceCodes.from_host(codes, device),
        40,
        device,
    )
    weighted = codes.toarray().T * weights
    np.testing.assert_allclose(usage.cpu(), weighted @ codes.toarray(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cross.cpu(), weighted @ signals, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("device", ON_TORCH)
def test_a_sweep_over_the_atoms_is_that_of_the_compiled_loop(device):
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((150, 24))  # more atoms than a block
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = rng.standard_normal((400, 150)) * (rng.random((400, 150)) < 0.1)
    codes[:, 5] = 0
    usage, cross = codes.T @ codes, codes.T @ rng.standard_normal((400, 24))
    there = updated_atoms(*(torch.tensor(x, device=device) for x in (atoms, usage, cross)))
    np.testing.assert_allclose(there.cpu(), update_atoms(atoms, usage, cross), atol=1e-10)
    np.testing.assert_array_equal(there[5].cpu(), atoms[5])


def test_rows_that_do_not_fit_on_the_device_give_the_same_dictionary(monkeypatch):
    signals, _ = planted(700, n_atoms=64, d_model=32)
    there = learned(signals, "cpu:0", max_passes=4)
    monkeypatch.setattr(memory, "_RESIDENT_SHARE", 0.0)
    streamed = learned(signals, "cpu:0", max_passes=4)
    np.testing.assert_array_equal(streamed.atoms, there.atoms)


def test_codes_are_never_transferred_in_dense_form(monkeypatch):
    signals, _ = planted(1500, n_atoms=64, d_model=32)
    transferred = []
    to_host = torch.Tensor.cpu

    def cpu(self, *arguments, **options):
        transferred.append(self.numel())
        return to_host(self, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    found = learned(signals, "cpu:0", max_passes=4)
    assert len(transferred) > 10
    assert max(transferred) <= max(found.codes.nnz, found.atoms.size, len(signals))


def test_the_same_seed_gives_the_same_dictionary():
    signals, _ = planted(700, n_atoms=64, d_model=32)
    first, second = (learned(signals, "cpu:0", max_passes=4) for _ in range(2))
    np.testing.assert_array_equal(first.atoms, second.atoms)
