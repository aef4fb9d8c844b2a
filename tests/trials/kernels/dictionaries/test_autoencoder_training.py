"""Training of sparse autoencoders, on rows whose atoms are known."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from trials.inputs.controls.planted import Planted
from trials.kernels.dictionaries.autoencoder import Architecture, Sparsity, encode
from trials.kernels.dictionaries.autoencoder_training import (
    Objective,
    Parameters,
    Schedule,
    Trainer,
    auxiliary_loss,
    objective,
    project_gradient,
)
from trials.kernels.dictionaries.summary import mean_max_cosine

ARCHITECTURES = get_args(Architecture)
SPARSITY = {
    "topk": Sparsity("topk", k=3),
    "batch_topk": Sparsity("batch_topk", k=3),
    "relu": Sparsity("relu", penalty=0.1),
    "jumprelu": Sparsity("jumprelu", penalty=0.02, bandwidth=0.1),
}


def planted(n_rows: int = 3000, d_model: int = 32, n_atoms: int = 64) -> Planted:
    """Three of the atoms a row, all coefficients positive, and a little noise."""
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    which = rng.random((n_rows, n_atoms)).argpartition(3, axis=1)[:, :3]
    size = rng.uniform(0.5, 1.5, which.shape)
    rows = np.einsum("is,isd->id", size, atoms[which])
    rows += 0.01 * rng.standard_normal(rows.shape)
    return Planted(rows.astype(np.float32), atoms.astype(np.float32))


def a_trainer(
    sparsity: Sparsity,
    rows: np.ndarray,
    *,
    n_atoms: int = 64,
    n_steps: int = 100,
    batch_size: int = 128,
    learning_rate: float = 3e-3,
    weights: np.ndarray | None = None,
    seed: int = 0,
    n_threads: int = 1,
) -> Trainer:
    return Trainer(
        rows,
        n_atoms,
        sparsity=sparsity,
        schedule=Schedule(n_steps, batch_size, learning_rate, 0.05, 0.5),
        weights=np.ones(len(rows)) if weights is None else weights,
        seed=seed,
        n_threads=n_threads,
    )


def some_parameters(threshold: float = 0.2) -> tuple[Parameters, Tensor]:
    """In float64, so that derivatives can be held against differences; and rows."""
    rng = np.random.default_rng(3)
    atoms = rng.standard_normal((12, 6))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    encoder = atoms + 0.1 * rng.standard_normal(atoms.shape)
    arrays = (atoms, encoder, rng.normal(0, 0.1, 12), rng.normal(0, 0.1, 6))
    log_threshold = np.log(threshold) + rng.normal(0, 0.1, 12)
    parameters = Parameters(*(torch.tensor(a).requires_grad_() for a in (*arrays, log_threshold)))
    return parameters, torch.tensor(rng.standard_normal((40_000, 6)) / np.sqrt(6))


def test_topk_recovers_planted_atoms() -> None:
    data = planted()
    trainer = a_trainer(SPARSITY["topk"], data.rows, n_atoms=96, n_steps=800)
    before = mean_max_cosine(trainer.autoencoder().atoms, data.atoms)
    trainer.advance(800)
    assert before < 0.6
    assert mean_max_cosine(trainer.autoencoder().atoms, data.atoms) > 0.95


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_lowers_the_error_and_leaves_the_norms_at_one(architecture: str) -> None:
    trainer = a_trainer(SPARSITY[architecture], planted().rows, n_steps=300)
    first = trainer.advance(30)
    trainer.advance(240)
    assert trainer.advance(30) < 0.5 * first
    norms = np.linalg.norm(trainer.autoencoder().atoms, axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_encoder_that_comes_back_gives_the_codes_of_training(architecture: str) -> None:
    rows = 5 * planted().rows + 1
    trainer = a_trainer(SPARSITY[architecture], rows, n_steps=60)
    trainer.advance(60)
    found = trainer.autoencoder()
    batch = torch.from_numpy(rows / np.float32(trainer.scale))
    with torch.no_grad():
        trained = objective(trainer.parameters, batch, trainer.sparsity)
    codes = encode(found, rows).toarray()
    wanted = trainer.scale * trained.codes.numpy()
    if architecture == "batch_topk":  # one cut for all rows in place of one a batch
        assert ((codes > 0) != (wanted > 0)).mean() < 0.02
    else:
        # An activation at its cut may fall on either side of it in another order of summation.
        assert ((codes > 0) != (wanted > 0)).mean() < 1e-4
    same = (codes > 0) == (wanted > 0)
    np.testing.assert_allclose(codes[same], wanted[same], atol=1e-4)


def test_the_cut_of_batch_topk_gives_k_atoms_a_row_that_was_not_trained_on() -> None:
    data = planted(4000)
    trainer = a_trainer(SPARSITY["batch_topk"], data.rows[:3000], n_steps=600)
    trainer.advance(600)
    l0 = np.diff(encode(trainer.autoencoder(), data.rows[3000:]).indptr)
    assert l0.mean() == pytest.approx(3, rel=0.1)
    assert l0.std() > 0.1, "rows differ in how many they use"


def test_a_gradient_is_freed_of_what_changes_the_norm() -> None:
    atoms = torch.nn.functional.normalize(torch.randn(9, 5, dtype=torch.float64), dim=1)
    atoms.requires_grad_()
    (atoms.sum(dim=0) ** 3).sum().backward()
    assert atoms.grad is not None
    given = atoms.grad.clone()
    project_gradient(atoms)
    torch.testing.assert_close((atoms.grad * atoms).sum(dim=1), torch.zeros(9).double())
    taken = given - atoms.grad
    torch.testing.assert_close(taken, (given * atoms).sum(dim=1, keepdim=True) * atoms)


@pytest.mark.parametrize("architecture", ["topk", "relu"])
def test_derivatives_are_those_of_the_loss(architecture: str) -> None:
    parameters, rows = some_parameters()

    def loss(*trained: Tensor) -> Tensor:
        used = Parameters(*trained, parameters.log_threshold.detach())
        return objective(used, rows[:50], SPARSITY[architecture]).loss

    assert torch.autograd.gradcheck(loss, tuple(parameters[:4]), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize(("error_counts", "rtol"), [(0.0, 1e-6), (1.0, 0.05)])
def test_thresholds_of_jumprelu_follow_the_loss_half_a_bandwidth_to_either_side(
    error_counts: float, rtol: float
) -> None:
    """For the number of active atoms this is the pseudo-derivative itself; for the error it is so
    up to terms of the order of the bandwidth."""
    parameters, rows = some_parameters()
    sparsity = Sparsity("jumprelu", penalty=0.3, bandwidth=0.02)

    def loss(log_threshold: Tensor) -> Tensor:
        found = objective(parameters._replace(log_threshold=log_threshold), rows, sparsity)
        return found.loss - (1 - error_counts) * found.error

    loss(parameters.log_threshold).backward()
    assert parameters.log_threshold.grad is not None
    threshold = parameters.log_threshold.detach().exp()
    differences = torch.zeros(12, dtype=torch.float64)
    for atom in range(12):
        step = torch.zeros(12, dtype=torch.float64)
        step[atom] = sparsity.bandwidth / 2
        with torch.no_grad():
            rise = loss((threshold + step).log()) - loss((threshold - step).log())
        differences[atom] = rise / sparsity.bandwidth
    wanted = differences * threshold  # d/d log t = t d/dt
    error = (parameters.log_threshold.grad - wanted).norm() / wanted.norm()
    assert error < rtol


def test_other_parameters_of_jumprelu_get_the_derivatives_of_the_loss() -> None:
    parameters, rows = some_parameters()
    sparsity = Sparsity("jumprelu", penalty=0.3, bandwidth=0.02)

    def loss(*trained: Tensor) -> Tensor:
        used = Parameters(*trained, parameters.log_threshold.detach())
        return objective(used, rows[:50], sparsity).error

    assert torch.autograd.gradcheck(loss, tuple(parameters[:4]), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dead_atoms_come_back_to_life(architecture: str) -> None:
    sparsity = SPARSITY[architecture]

    def dead_after_training(n_steps: int) -> float:
        trainer = a_trainer(sparsity, planted().rows, n_steps=800, batch_size=256)
        with torch.no_grad():  # half of the atoms are never active
            trainer.parameters.encoder_bias[:32] -= 2
        trainer.advance(n_steps)
        return float(trainer.dead().float().mean())

    assert dead_after_training(15) == pytest.approx(0.5, abs=0.15)
    assert dead_after_training(800) < 0.1


def test_the_auxiliary_loss_is_one_for_atoms_that_say_nothing_and_0_for_those_that_say_all() -> (
    None
):
    parameters, _ = some_parameters()
    dead = torch.zeros(12, dtype=torch.bool)
    dead[[2, 5]] = True
    sizes = torch.tensor([[1.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
    residual = sizes @ parameters.atoms[dead].detach()
    activations = torch.zeros(2, 12, dtype=torch.float64)
    empty = torch.zeros(())
    silent = Objective(empty, empty, activations, activations, residual)
    assert auxiliary_loss(parameters, silent, dead).item() == pytest.approx(1)
    activations = activations.clone()
    activations[:, dead] = sizes
    telling = silent._replace(activations=activations)
    assert auxiliary_loss(parameters, telling, dead).item() == pytest.approx(0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_interrupted_training_ends_bit_for_bit_like_one_that_was_not(architecture: str) -> None:
    rows, sparsity = planted(500).rows, SPARSITY[architecture]
    whole = a_trainer(sparsity, rows)
    whole.advance(100)
    first = a_trainer(sparsity, rows)
    first.advance(37)
    second = a_trainer(sparsity, rows)
    second.restore(first.state())
    second.advance(1000)
    assert second.step == 100
    for name, array in whole.autoencoder()._asdict().items():
        np.testing.assert_array_equal(array, getattr(second.autoencoder(), name), err_msg=name)


def test_the_number_of_threads_changes_no_more_than_rounding_and_is_given_back() -> None:
    rows, before = planted(500).rows, torch.get_num_threads()
    one, two = (
        a_trainer(SPARSITY["topk"], rows, n_steps=20, n_threads=n_threads) for n_threads in (1, 2)
    )
    errors = one.advance(20), two.advance(20)
    assert errors[0] == pytest.approx(errors[1], rel=1e-4)
    assert torch.get_num_threads() == before


def test_another_seed_gives_another_autoencoder() -> None:
    rows = planted(500).rows
    one, other = (a_trainer(SPARSITY["topk"], rows, seed=seed) for seed in (0, 1))
    assert one.advance(5) != other.advance(5)


def test_rows_are_drawn_in_proportion_to_their_weights() -> None:
    rows = planted(200).rows
    weights = np.zeros(200)
    weights[:2] = 3, 1
    trainer = a_trainer(SPARSITY["topk"], rows, weights=weights, batch_size=4000)
    drawn = trainer._batch(0).numpy() * trainer.scale
    first = np.abs(drawn - rows[0]).max(axis=1) < 1e-4
    second = np.abs(drawn - rows[1]).max(axis=1) < 1e-4
    assert (first | second).all()
    assert first.mean() == pytest.approx(0.75, abs=0.03)


def test_length_of_the_rows_does_not_matter() -> None:
    rows = planted(500).rows
    here, there = (a_trainer(SPARSITY["jumprelu"], scale * rows, n_steps=50) for scale in (1, 8))
    assert here.advance(50) == pytest.approx(there.advance(50), rel=1e-3)
    np.testing.assert_allclose(
        8 * here.autoencoder().threshold, there.autoencoder().threshold, rtol=1e-2
    )


def test_the_decoder_starts_at_the_weighted_mean_and_the_encoder_as_its_transpose() -> None:
    rows = planted(500).rows
    weights = np.random.default_rng(0).random(500)
    found = a_trainer(SPARSITY["topk"], rows, weights=weights).autoencoder()
    np.testing.assert_allclose(
        found.decoder_bias, np.average(rows, axis=0, weights=weights), atol=1e-5
    )
    np.testing.assert_array_equal(found.encoder, found.atoms)


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    schedule = Schedule(100, 1, 2.0, 0.1, 0.5)
    rates = [schedule.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9:51] == [2.0] * 42
    assert rates[99] == pytest.approx(2.0 / 50)
    assert rates[51:] == sorted(rates[51:], reverse=True)
    assert Schedule(1, 1, 2.0, 0.0, 0.0).learning_rate_at(0) == 2.0


def test_rows_without_variance_train_to_nothing() -> None:
    rows = np.ones((50, 4), np.float32)
    trainer = a_trainer(SPARSITY["topk"], rows, n_atoms=8)
    assert trainer.advance(10) == pytest.approx(0, abs=1e-9)
