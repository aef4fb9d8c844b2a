"""The loss of a model with replaced rows: by reconstructions, and by controls of equal size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trials.api import Context, TrialError
from trials.inputs.corpora import open_corpus
from trials.inputs.corpora.windows import Windows
from trials.inputs.models import LanguageModel, open_model
from trials.inputs.models.text import text_of_run
from trials.inputs.rows import TokenRows
from trials.inputs.splits import frequency_deciles
from trials.residual.kind import ARMS, SIDES, ResidualConfig


def functional_cost(
    config: ResidualConfig, data: TokenRows, reconstruction: np.ndarray, context: Context
) -> dict[str, float]:
    """`loss_model_held_out`, and `cost_SIDE_ARM_held_out`: its rise, in nats per token.

    `reconstruction` is float32, (n_tokens, d_model), as `data.rows`. A side whose matrix is not
    that of the source is NaN: the rows are the output's only where the model is tied, or where the
    source names its output embedding. Raises TrialError where they are neither side's.
    """
    assert config.model_uri is not None
    fetch = context.fetch_artifact
    opened = open_model(config.model_uri, fetch_artifact=fetch)
    corpus = (
        text_of_run(config.model_uri, fetch_artifact=fetch, n_threads=context.n_threads)
        if config.text is None
        else open_corpus(config.text, n_threads=context.n_threads)
    )
    windows = Windows(corpus.held_out, min(config.context, opened.context))
    sequences = torch.from_numpy(windows[windows.evenly(config.evaluation_tokens)])
    reads, writes = (
        layer.weight.detach() for layer in (opened.input_embedding, opened.output_embedding)
    )
    is_input, is_output = (_has_rows(data, of.numpy()) for of in (reads, writes))
    if not (is_input or is_output):
        raise TrialError(f"{config.source} is no embedding of {config.model_uri}")
    replacements = _replacements(config, data, reconstruction)
    covered = float(np.isin(sequences.numpy()[:, :-1], data.ids).mean())
    metrics = {"covered_frac_held_out": covered}
    with torch.no_grad():
        hidden = _hidden(opened, sequences, reads)
        metrics["loss_model_held_out"] = base = _loss(opened, sequences, hidden, writes)
        for arm in ARMS:
            rows, ids = torch.from_numpy(replacements[arm]), torch.from_numpy(data.ids)
            losses = dict.fromkeys(SIDES, float("nan"))
            if is_output:
                changed = writes.index_copy(0, ids, rows)
                losses["output"] = _loss(opened, sequences, hidden, changed)
            if is_input:
                read_so = _hidden(opened, sequences, reads.index_copy(0, ids, rows))
                losses["input"] = _loss(opened, sequences, read_so, writes)
                if is_output:
                    losses["both"] = _loss(opened, sequences, read_so, changed)
            metrics |= {f"cost_{side}_{arm}_held_out": losses[side] - base for side in SIDES}
    return metrics


def _has_rows(data: TokenRows, embedding: np.ndarray) -> bool:
    raw = data.rows * data.divisor[:, None].astype(np.float32) + data.offset.astype(np.float32)
    if embedding.shape[1] != raw.shape[1] or len(embedding) <= data.ids.max():
        return False
    return np.allclose(embedding[data.ids], raw, atol=1e-4 * float(np.abs(raw).max()))


def _replacements(
    config: ResidualConfig, data: TokenRows, reconstruction: np.ndarray
) -> dict[str, np.ndarray]:
    """Raw rows of every token by arm, float32."""
    rng = np.random.default_rng([config.seed, 11])
    residual = data.rows - reconstruction
    other = np.arange(len(residual))
    deciles = frequency_deciles(data.probabilities)
    for decile in np.unique(deciles):
        members = np.flatnonzero(deciles == decile)
        other[members] = rng.permutation(members)
    noise = rng.standard_normal(residual.shape).astype(np.float32)
    lengths = [np.linalg.norm(of, axis=1, keepdims=True) for of in (residual, noise)]
    rows = {
        "reconstruction": reconstruction,
        "shuffled": reconstruction + residual[other],
        "random": data.rows + noise * (lengths[0] / lengths[1]),
        "mean": np.broadcast_to(data.mean.astype(np.float32), residual.shape),
    }
    divisor, offset = data.divisor[:, None].astype(np.float32), data.offset.astype(np.float32)
    return {name: np.ascontiguousarray(of * divisor + offset) for name, of in rows.items()}


def _hidden(opened: LanguageModel, sequences: Tensor, embedding: Tensor) -> Tensor:
    """The last hidden states of all tokens except the last, with these rows as input embedding."""
    body = opened.model.base_model
    parts = [
        body(inputs_embeds=embedding[part[:, :-1]]).last_hidden_state for part in sequences.split(4)
    ]
    return torch.cat(parts)


def _loss(opened: LanguageModel, sequences: Tensor, hidden: Tensor, embedding: Tensor) -> float:
    """Mean of -ln p of all tokens except the first, with these rows as output embedding."""
    total = 0.0
    for states, ids in zip(hidden.split(4), sequences.split(4), strict=True):
        logits = functional.linear(states, embedding, opened.output_embedding.bias)
        targets = ids[:, 1:].flatten()
        total += float(functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum"))
    return total / (sequences.shape[0] * (sequences.shape[1] - 1))
