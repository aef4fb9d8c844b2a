"""What torch on a device must hold beyond the contracts that it shares with the compiled loops."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from tests.trials.kernels.devices import ON_TORCH
from tests.trials.kernels.lasso_problems import problem
from trials.kernels.sparse_coding import critical_penalties, lasso_codes
from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.device import memory
from trials.kernels.sparse_coding.device.admm import solve
from trials.kernels.sparse_coding.device.admm_steps import Problem
from trials.kernels.sparse_coding.device.device_codes import DeviceCodes
from trials.kernels.sparse_coding.device.memory import for_each_part
from trials.kernels.sparse_coding.device.supports import refitted


def random_codes(n_rows=50, n_atoms=30, density=0.2, dtype=np.float64):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((n_rows, n_atoms)) * (rng.random((n_rows, n_atoms)) < density)
    dense[3] = 0
    return csr_array(dense.astype(dtype))


@pytest.mark.parametrize("device", ON_TORCH)
def test_codes_on_a_device_are_those_of_scipy(device):
    codes = random_codes()
    there = DeviceCodes.from_host(codes, device)
    parts = DeviceCodes.stacked([there.part(slice(0, 20)), there.part(slice(20, 50))])
    for same in (there, parts, DeviceCodes.from_dense(there.dense(30))):
        np.testing.assert_array_equal(same.to_host(30).toarray(), codes.toarray())
    rows = np.array([7, 3, 7, 49])
    np.testing.assert_array_equal(there.take(rows).dense(30).cpu(), codes[rows].toarray())
    halved = there.with_values(torch.where(there.values > 0, there.values, 0.0)).to_host(30)
    np.testing.assert_array_equal(halved.toarray(), np.maximum(codes.toarray(), 0))
    assert halved.nnz == (codes.data > 0).sum()
    longer = there.padded_with_empty_rows(53).to_host(30)
    np.testing.assert_array_equal(longer.toarray()[:50], codes.toarray())
    assert longer.shape == (53, 30)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("device", ON_TORCH)
def test_critical_penalties_are_those_of_the_compiled_path(device, nonnegative):
    signals, atoms = problem(dtype=np.float32)
    here, there = (
        critical_penalties(signals, atoms, nonnegative=nonnegative, device=d)
        for d in ("cpu", device)
    )
    np.testing.assert_allclose(there, here, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("device", ON_TORCH)
def test_a_refit_ends_at_the_minimum_over_its_support_or_nearer_to_it(device, dtype):
    signals, atoms = problem(n_signals=80, dtype=dtype)
    penalties = np.full(80, 0.2)
    codes = random_codes(80, 96, density=0.1, dtype=dtype)
    there = DeviceCodes.from_host(codes, device)
    found = refitted(
        torch.tensor(signals, device=device),
        penalties,
        torch.tensor(atoms, device=device),
        there,
        device,
    ).to_host(96)
    before, after = (
        0.5 * ((signals - each.toarray() @ atoms) ** 2).sum(axis=1) + 0.2 * abs(each).sum(axis=1)
        for each in (codes, found)
    )
    assert (after <= before * (1 + 1e-6)).all()
    assert after.sum() < 0.8 * before.sum()
    # No entry is new, none changes its sign, and the slopes of those that are left vanish.
    dense, start = found.toarray(), codes.toarray()
    assert (dense * start >= 0).all()
    assert not dense[start == 0].any()
    slopes = (signals - dense @ atoms) @ atoms.T - 0.2 * np.sign(dense)
    settled = abs(np.where(dense != 0, slopes, 0)).max(axis=1) < 1e-5
    assert settled.mean() > 0.7


@pytest.mark.parametrize("device", ON_TORCH)
def test_equal_atoms_in_a_support_leave_a_refit_where_it_was(device):
    signals, atoms = problem(n_signals=3, n_atoms=4)
    atoms[1] = atoms[0]
    codes = csr_array(np.ones((3, 4)))
    found = refitted(
        torch.tensor(signals, device=device),
        np.full(3, 0.1),
        torch.tensor(atoms, device=device),
        DeviceCodes.from_host(codes, device),
        device,
    ).to_host(4)
    assert np.isfinite(found.data).all()


def test_a_block_that_does_not_fit_is_tried_again_in_halves():
    sizes, done = [], np.zeros(100, np.int64)

    def work(part):
        sizes.append(part.stop - part.start)
        if sizes[-1] > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done[part] += 1

    for_each_part(100, 64, work, "cpu:0")
    assert (done == 1).all()
    assert sizes[:3] == [64, 32, 16]
    assert sizes.count(64) == 1


def test_memory_that_does_not_hold_a_few_rows_is_an_error():
    def work(part):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        for_each_part(100, 64, work, "cpu:0")


def test_codes_do_not_change_when_memory_runs_out_on_the_way(monkeypatch):
    signals, atoms = problem(n_signals=600, dtype=np.float32)
    whole = lasso_codes(signals, atoms, l1_penalty=0.3, device="cpu:0")
    certificate = Problem.certificate

    def short_of_memory(self, live, codes):
        if len(codes) > 200:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return certificate(self, live, codes)

    monkeypatch.setattr(Problem, "certificate", short_of_memory)
    cut = lasso_codes(signals, atoms, l1_penalty=0.3, device="cpu:0")
    assert cut.gap.max() <= 1e-5
    np.testing.assert_allclose(cut.codes.toarray(), whole.codes.toarray(), atol=1e-2)


def test_free_memory_counts_what_torch_keeps_and_obeys_the_cap_of_the_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 10_000))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    fractions = iter([1.0, 0.1, 0.01])
    monkeypatch.setattr(
        torch.cuda, "get_per_process_memory_fraction", lambda device: next(fractions), raising=False
    )
    assert [memory.free_bytes("cuda:0") for _ in range(3)] == [1200, 700, 0]


def test_blocks_are_powers_of_two_and_grow_with_free_memory(monkeypatch):
    sizes = []
    for free in (1, 10**6, 10**7, 10**8, 10**12):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        sizes.append(memory.rows_per_block(1000, "cuda:0"))
    assert sizes == [8, 256, 2048, 8192, 8192]


def as_tf32(values):
    """Rounded to the 10 bits that TF32 keeps of a mantissa."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return torch.tensor(((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32))


def test_steps_as_coarse_as_tf32_leave_codes_that_are_certified_in_float64():
    signals, atoms = problem(n_signals=200, n_atoms=200, d_model=100, dtype=np.float32)
    exact = Problem.prepare(atoms, "cpu:0", False)
    coarse = exact._replace(basis=as_tf32(exact.basis.numpy()))
    assert not torch.equal(coarse.basis, exact.basis)
    found = solve(coarse, signals, np.full(200, 0.1), None, 1e-5, "cpu:0")
    codes = found.codes.to_host(200)
    honest = duality_gap(signals, atoms, codes, l1_penalty=0.1)
    np.testing.assert_allclose(found.gaps, honest, atol=1e-12)
    assert honest.max() <= 1e-5


def test_gaps_without_a_certificate_are_estimates_near_the_true_ones():
    signals, atoms = problem(n_signals=200, dtype=np.float32)
    loose = Problem.prepare(atoms, "cpu:0", False, certify=False)
    assert loose.atoms.dtype == torch.float32
    found = solve(loose, signals, np.full(200, 0.3), None, 1e-3, "cpu:0")
    honest = duality_gap(signals, atoms, found.codes.to_host(96), l1_penalty=0.3)
    assert honest.max() < 1.1e-3
    np.testing.assert_allclose(found.gaps, honest, atol=1e-5)
