"""Training of sparse autoencoders by Adam on rows drawn in proportion to their weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trials.kernels.dictionaries.autoencoder import Autoencoder, Sparsity
from trials.kernels.threads import thread_count

_AUXILIARY_WEIGHT = 1 / 32
_PENALTY_WARM_UP_FRAC = 0.2
_CUT_BATCHES = 8
"""Batches that the threshold of a batch_topk autoencoder is estimated on."""

_ATOMS, _BATCHES = 3, 4
"""Streams of a seed. Not 0: that stream equals the seed itself, with which rows may be drawn."""


class Schedule(NamedTuple):
    """How long and how fast.

    The learning rate rises linearly over the first `warm_up_frac` of the steps and falls linearly
    to 0 over the last `decay_frac`. The penalty of relu and jumprelu rises over the first fifth.
    """

    n_steps: int
    batch_size: int
    learning_rate: float
    warm_up_frac: float
    decay_frac: float

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of step 0 <= `step` < n_steps."""
        rising = (step + 1) / max(1.0, self.warm_up_frac * self.n_steps)
        falling = (self.n_steps - step) / max(1.0, self.decay_frac * self.n_steps)
        return self.learning_rate * min(1.0, rising, falling)

    def penalty_frac_at(self, step: int) -> float:
        """Share of the penalty that applies at a step."""
        return min(1.0, (step + 1) / max(1.0, _PENALTY_WARM_UP_FRAC * self.n_steps))


class Parameters(NamedTuple):
    """What is trained, for rows of variance 1; see `Autoencoder`.

    `log_threshold` is that of jumprelu; the others leave it as it is.
    """

    atoms: Float[Tensor, "n_atoms d_model"]
    encoder: Float[Tensor, "n_atoms d_model"]
    encoder_bias: Float[Tensor, " n_atoms"]
    decoder_bias: Float[Tensor, " d_model"]
    log_threshold: Float[Tensor, " n_atoms"]


class Objective(NamedTuple):
    """What a batch gives.

    Attributes:
        loss: mean squared error per row, plus the penalty of relu and jumprelu.
        error: the mean squared error only: the batch's fraction of variance unexplained.
        activations: before any cut.
        codes: after it.
        residual: rows minus their reconstruction.
    """

    loss: Float[Tensor, ""]
    error: Float[Tensor, ""]
    activations: Float[Tensor, "n_rows n_atoms"]
    codes: Float[Tensor, "n_rows n_atoms"]
    residual: Float[Tensor, "n_rows d_model"]


def objective(
    parameters: Parameters, rows: Float[Tensor, "n_rows d_model"], sparsity: Sparsity
) -> Objective:
    """The loss of a batch, differentiable in the parameters.

    Thresholds of jumprelu get the pseudo-derivatives of Rajamanoharan et al. 2024 (eqs. 11, 12),
    with a rectangular kernel.
    """
    activations = (rows - parameters.decoder_bias) @ parameters.encoder.T + parameters.encoder_bias
    rectified = activations.relu()
    penalty = rows.new_zeros(())
    if sparsity.architecture == "topk":
        top = rectified.topk(min(sparsity.k, rectified.shape[1]), sorted=False)
        codes = torch.zeros_like(rectified).scatter(1, top.indices, top.values)
    elif sparsity.architecture == "batch_topk":
        codes = rectified * (rectified > _cut(rectified.detach(), sparsity.k))
    elif sparsity.architecture == "relu":
        codes = rectified
        penalty = codes.sum(dim=1).mean()
    else:
        threshold = parameters.log_threshold.exp()
        fixed = threshold.detach()
        above = activations.detach() - fixed
        near = (above.abs() < sparsity.bandwidth / 2).to(rows.dtype) / sparsity.bandwidth
        active = (above > 0).to(rows.dtype)
        # `threshold - fixed` is 0: it adds a derivative and no value.
        codes = activations * active - near * fixed * (threshold - fixed)
        penalty = (active - near * (threshold - fixed)).sum(dim=1).mean()
    residual = rows - codes @ parameters.atoms - parameters.decoder_bias
    error = residual.square().sum(dim=1).mean()
    return Objective(error + sparsity.penalty * penalty, error, activations, codes, residual)


class Trainer:
    """An autoencoder in the making. The same on a CPU for the same seed, interrupted or not."""

    def __init__(
        self,
        signals: Float[np.ndarray, "n_signals d_model"],
        n_atoms: int,
        *,
        sparsity: Sparsity,
        schedule: Schedule,
        weights: Float[np.ndarray, " n_signals"],
        seed: int,
        device: str = "cpu",
        n_threads: int | None = None,
    ) -> None:
        """Start: random unit atoms, their transpose as encoder, the weighted mean as bias.

        Args:
            signals: training rows; worked on in float32, divided by the root of their variance.
            weights: chances with which rows are drawn, of any scale.
            seed: of the atoms and of the batches.
        """
        self.sparsity, self.schedule, self.seed = sparsity, schedule, seed
        self.n_threads = thread_count(n_threads)
        self.step = 0
        shares = weights / weights.sum()
        mean = shares @ signals.astype(np.float64)
        variance = shares @ np.square(signals - mean).sum(axis=1)
        self.scale = float(np.sqrt(variance)) if variance > 0 else 1.0
        self._shares = np.cumsum(shares)
        self._rows = torch.from_numpy((signals / self.scale).astype(np.float32)).to(device)
        atoms = np.random.default_rng([seed, _ATOMS]).standard_normal((n_atoms, signals.shape[1]))
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        start = (
            atoms,
            atoms,
            np.zeros(n_atoms),
            mean / self.scale,
            # As wide as the kernel (Rajamanoharan et al. 2024): Adam moves it by a factor a step.
            np.full(n_atoms, np.log(sparsity.bandwidth or 1.0)),
        )
        self.parameters = Parameters(
            *(torch.tensor(a, dtype=torch.float32, device=device).requires_grad_() for a in start)
        )
        self._optimiser = torch.optim.Adam(list(self.parameters), fused=True)
        self._idle = torch.zeros(n_atoms, dtype=torch.int64, device=device)

    def advance(self, n_steps: int) -> float:
        """Take steps, at most those that are left; the mean fvu of their batches."""
        last = min(self.step + n_steps, self.schedule.n_steps)
        total = torch.zeros((), device=self._rows.device)
        with _threads(self.n_threads):
            for step in range(self.step, last):
                total += self._take(step)
        n_taken, self.step = last - self.step, last
        return float(total) / max(1, n_taken)

    def autoencoder(self) -> Autoencoder:
        """What has been trained so far, for signals of the scale that was given."""
        with torch.no_grad(), _threads(self.n_threads):
            threshold = self._threshold()
        atoms, encoder, encoder_bias, decoder_bias, cut = (
            tensor.detach().cpu().numpy().copy() for tensor in (*self.parameters[:4], threshold)
        )
        scale = np.float32(self.scale)
        k = self.sparsity.k if self.sparsity.architecture == "topk" else 0
        return Autoencoder(
            atoms, encoder, scale * encoder_bias, scale * decoder_bias, scale * cut, k
        )

    def state(self) -> dict[str, Any]:
        """All that `restore` needs; for `torch.save`. Batches depend on seed and step alone."""
        return {
            "step": self.step,
            "parameters": [parameter.detach() for parameter in self.parameters],
            "optimiser": self._optimiser.state_dict(),
            "idle": self._idle,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a trainer that was made with the same arguments."""
        self.step = state["step"]
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self._optimiser.load_state_dict(state["optimiser"])
        self._idle.copy_(state["idle"])

    def dead(self) -> Bool[Tensor, " n_atoms"]:
        """Atoms that no row has used for as many draws as there are rows."""
        return self._idle >= len(self._rows)

    def _take(self, step: int) -> Float[Tensor, ""]:
        rows = self._batch(step)
        penalty = self.sparsity.penalty * self.schedule.penalty_frac_at(step)
        found = objective(self.parameters, rows, self.sparsity._replace(penalty=penalty))
        loss = found.loss
        dead = self.dead()
        if dead.any():
            loss = loss + _AUXILIARY_WEIGHT * auxiliary_loss(self.parameters, found, dead)
        self._optimiser.zero_grad()
        loss.backward()
        with torch.no_grad():
            project_gradient(self.parameters.atoms)
            self._optimiser.param_groups[0]["lr"] = self.schedule.learning_rate_at(step)
            self._optimiser.step()
            atoms = self.parameters.atoms
            atoms /= atoms.norm(dim=1, keepdim=True)
            self._idle += len(rows)
            self._idle[(found.codes > 0).any(dim=0)] = 0
        return found.error.detach()

    def _batch(self, step: int) -> Float[Tensor, "batch_size d_model"]:
        drawn = np.random.default_rng([self.seed, _BATCHES, step]).random(self.schedule.batch_size)
        which = np.searchsorted(self._shares, drawn * self._shares[-1], side="right")
        return self._rows[torch.from_numpy(which).to(self._rows.device)]

    def _threshold(self) -> Float[Tensor, " n_atoms"]:
        if self.sparsity.architecture == "jumprelu":
            return self.parameters.log_threshold.exp()
        threshold = torch.zeros_like(self.parameters.encoder_bias)
        if self.sparsity.architecture == "batch_topk":
            rows = [self._batch(self.schedule.n_steps + i) for i in range(_CUT_BATCHES)]
            cuts = [
                _cut(objective(self.parameters, batch, self.sparsity).activations, self.sparsity.k)
                for batch in rows
            ]
            threshold += torch.stack(cuts).mean()
        return threshold


def auxiliary_loss(
    parameters: Parameters, found: Objective, dead: Bool[Tensor, " n_atoms"]
) -> Float[Tensor, ""]:
    """What the dead atoms leave of the residual when they alone code it, over its energy.

    The auxiliary-k loss of Gao et al. 2024 (appendix A.2): of each row the d_model / 2 largest
    activations of dead atoms. They are not rectified here, for an atom that died of the penalty of
    relu has none above 0 and would get no derivative.
    """
    which = dead.nonzero().squeeze(1)
    activations = found.activations[:, which]
    top = activations.topk(min(max(1, len(found.residual[0]) // 2), len(which)), sorted=False)
    codes = torch.zeros_like(activations).scatter(1, top.indices, top.values)
    residual = found.residual.detach()
    left = (residual - codes @ parameters.atoms[which]).square().sum()
    return left / residual.square().sum().clamp_min(torch.finfo(residual.dtype).tiny)


def project_gradient(atoms: Float[Tensor, "n_atoms d_model"]) -> None:
    """Take from each row's gradient what would only change its norm (Bricken et al. 2023)."""
    assert atoms.grad is not None
    atoms.grad -= (atoms.grad * atoms).sum(dim=1, keepdim=True) * atoms


def _cut(activations: Float[Tensor, "n_rows n_atoms"], k: int) -> Float[Tensor, ""]:
    """A value, not negative, that the `k * n_rows` largest activations of the batch exceed."""
    flat = activations.flatten()
    n_kept = min(k * len(activations), len(flat) - 1)
    return flat.topk(n_kept + 1, sorted=False).values.min().clamp_min(0)


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    """Torch on `n_threads`, with numbers too small for their format taken as 0.

    The moments of an idle atom decay through such numbers, which are slow.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
