"""Train an autoencoder on rows, with reports for early stopping and checkpoints for a retry."""

from __future__ import annotations

import time
from typing import NamedTuple

from trials.api import Context
from trials.inputs.rows import TokenRows
from trials.kernels.dictionaries import Autoencoder, Sparsity, encode
from trials.kernels.dictionaries.autoencoder_training import Schedule, Trainer
from trials.kernels.sparse_coding import fvu, reconstruct, token_errors, weighted_mean
from trials.kernels.threads import one_blas_thread
from trials.sae.kind import SaeConfig
from trials.training import checkpoint

_N_REPORTS = 20

CURVE = ("step", "fvu_batches", "fvu_sae_validation", "l0_sae_validation", "dead_frac_batches")
"""Columns of the training curve; `*_batches` cover the rows drawn since the last report."""


class Trained(NamedTuple):
    """A trained autoencoder.

    Attributes:
        curve: one row per report, with the columns `CURVE`.
        training_s: wall time, including interrupted attempts up to their last checkpoint.
    """

    autoencoder: Autoencoder
    curve: list[tuple[float, ...]]
    training_s: float


def train(data: TokenRows, config: SaeConfig, context: Context) -> Trained:
    """Train on the training tokens, from the checkpoint of an interrupted attempt if any."""
    rows = data.rows[data.split.train]
    trainer = Trainer(
        rows,
        config.resolved_atoms(rows.shape[1]),
        sparsity=_sparsity(config),
        schedule=_schedule(config),
        weights=data.weights[data.split.train],
        seed=config.seed,
        device=context.device,
        n_threads=context.n_threads,
    )
    folder, identity = context.checkpoint_dir, config.model_dump_json()
    progress = checkpoint.resume(trainer, folder, identity)
    curve: list[tuple[float, ...]] = progress.get("curve", [])
    started = time.perf_counter() - progress.get("spent_s", 0.0)
    every = max(1, -(-config.n_steps // _N_REPORTS))
    while trainer.step < config.n_steps:
        fvu_batches = trainer.advance(every)
        row = (float(trainer.step), fvu_batches, *_validate(data, trainer))
        curve.append(row)
        spent_s = time.perf_counter() - started
        checkpoint.save(trainer, folder, identity, curve=curve, spent_s=spent_s)
        reported = dict(zip(CURVE, row, strict=True))
        context.report(trainer.step, {name: reported[name] for name in CURVE[2:4]})
    return Trained(trainer.autoencoder(), curve, time.perf_counter() - started)


def _sparsity(config: SaeConfig) -> Sparsity:
    return Sparsity(
        config.architecture,
        k=config.k or 0,
        penalty=config.l1_coefficient or config.l0_coefficient or 0.0,
        bandwidth=config.bandwidth or 0.0,
    )


def _schedule(config: SaeConfig) -> Schedule:
    return Schedule(
        config.n_steps,
        config.batch_size,
        config.learning_rate,
        config.warm_up_frac,
        config.decay_frac,
    )


def _validate(data: TokenRows, trainer: Trainer) -> tuple[float, float, float]:
    """Error and sparsity on the validation tokens, and the share of dead atoms."""
    tokens = data.split.validation
    rows, weights = data.rows[tokens], data.weights[tokens]
    autoencoder = trainer.autoencoder()
    with one_blas_thread():
        codes = encode(autoencoder, rows)
        fitted = reconstruct(codes, autoencoder.atoms) + autoencoder.decoder_bias
        error = fvu(token_errors(rows, fitted, data.mean), weights)
    l0 = weighted_mean((codes.indptr[1:] - codes.indptr[:-1]).astype(float), weights)
    return error, l0, float(trainer.dead().float().mean())
