"""A GPT-2 some of whose embeddings are frozen, and its training on a stream of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2LMHeadModel

from trials.api import Context, TrialError
from trials.inputs.controls.random_embeddings import (
    RandomEmbedding,
    permuted_embedding,
    random_embedding,
)
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.corpora.windows import ShuffledBatches, Windows
from trials.inputs.models.gpt2 import Architecture, new_gpt2
from trials.inputs.sources import open_source
from trials.kernels.dictionaries import threshold_with
from trials.pretrain.config import PretrainConfig
from trials.training import trainer


def build_model(
    config: PretrainConfig, n_vocab: int, frozen: Mapping[str, np.ndarray]
) -> GPT2LMHeadModel:
    """A model with initial weights, on the CPU. All arms of a seed start from the same body.

    `frozen` maps each side ("input", "output") that is not learned to its rows.
    """
    model = new_gpt2(
        architecture(config, n_vocab), initial_std=config.initial_std, seed=config.seed
    )
    for side, rows in frozen.items():
        weight = embedding(model, side)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(rows))
        weight.requires_grad_(False)
    return model


def architecture(config: PretrainConfig, n_vocab: int) -> Architecture:
    """The shape of the model."""
    return Architecture(
        n_vocab=n_vocab,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        context=config.context,
        tied=int(config.tying == "tied"),
        output_bias=int(config.output_bias),
    )


def embedding(model: GPT2LMHeadModel, side: str) -> nn.Parameter:
    """The matrix of a side, (n_vocab, d_model)."""
    layer = model.transformer.wte if side == "input" else model.lm_head
    weight: nn.Parameter = layer.weight
    return weight


def token_losses(model: GPT2LMHeadModel, sequences: Tensor) -> Tensor:
    """-ln p of every token but the first of each sequence, float32.

    Of sequences (n, context + 1) of ids, (n, context).
    """
    logits = model(sequences[:, :-1]).logits
    targets = sequences[:, 1:]
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none"
    )
    return losses.view_as(targets)


def parameter_groups(model: GPT2LMHeadModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters with weight decay, and those without (embeddings, biases, gains)."""
    embeddings = {id(weight) for weight in _embeddings(model)}
    trained = [p for p in model.parameters() if p.requires_grad]
    decays = [p for p in trained if p.ndim > 1 and id(p) not in embeddings]
    kept = {id(p) for p in decays}
    return decays, [p for p in trained if id(p) not in kept]


def flop_per_token(model: GPT2LMHeadModel) -> float:
    """FLOP of a forward and a backward pass: 6 per weight, plus 12 n_layers d_model context."""
    settings = model.config
    body = sum(p.numel() for p in model.transformer.h.parameters() if p.ndim > 1)
    attention = 12 * settings.n_layer * settings.n_embd * settings.n_positions
    return 6.0 * (body + model.lm_head.weight.numel()) + attention


def _embeddings(model: GPT2LMHeadModel) -> Iterator[nn.Parameter]:
    yield model.transformer.wte.weight
    yield model.transformer.wpe.weight
    yield model.lm_head.weight


_SIDES = {"input": 7, "output": 8}
"""Each side draws its rows from its own random stream."""


class Frozen(NamedTuple):
    """The frozen rows.

    Attributes:
        rows: side ("input", "output") -> (n_vocab, d_model) float32. Learned sides are missing; a
            tied matrix belongs to the input.
        random: side -> its random rows and how they were drawn.
    """

    rows: dict[str, np.ndarray]
    random: dict[str, RandomEmbedding]

    def metrics(self) -> dict[str, float]:
        """Metrics of how the random rows were drawn; NaN if there are none."""
        drawn = list(self.random.values())
        nan = float("nan")
        return {
            "rows_max_cosine": max((d.max_cosine for d in drawn), default=nan),
            "rows_rejections": float(sum(d.n_rejections for d in drawn)) if drawn else nan,
            "rows_expected_rejections": sum(d.expected_rejections for d in drawn) if drawn else nan,
        }


def frozen_rows(config: PretrainConfig, corpus: TokenisedCorpus, context: Context) -> Frozen:
    """The rows of each side that is not learned. Raises TrialError if they do not fit the model."""
    frozen = Frozen({}, {})
    seed = config.seed if config.rows_seed is None else config.rows_seed
    for side in config.sides:
        arm = config.arm(side)
        if arm == "learned":
            continue
        rng = np.random.default_rng([seed, _SIDES[side]])
        given = _given_rows(config, side, corpus, context) if config.needs_rows(side) else None
        if arm == "frozen_random":
            drawn = frozen.random[side] = _draw(config, corpus.n_vocab, rng, given, context)
            frozen.rows[side] = drawn.rows
        elif given is not None:
            is_learned = arm == "frozen_learned"
            frozen.rows[side] = given if is_learned else permuted_embedding(given, rng)
    return frozen


def _draw(
    config: PretrainConfig,
    n_vocab: int,
    rng: np.random.Generator,
    given: np.ndarray | None,
    context: Context,
) -> RandomEmbedding:
    threshold = config.max_cosine
    if config.expected_conflicts is not None:
        threshold = threshold_with(config.expected_conflicts, n_vocab, config.d_model)
    try:
        return random_embedding(
            config.rows_distribution,
            n_vocab,
            config.d_model,
            row_norm=config.resolved_row_norm,
            rng=rng,
            max_cosine=threshold,
            method=config.rows_method,
            like=given,
            n_threads=context.n_threads,
        )
    except ValueError as error:
        raise TrialError(str(error)) from error


def _given_rows(
    config: PretrainConfig, side: str, corpus: TokenisedCorpus, context: Context
) -> np.ndarray:
    uri = config.rows_from(side)
    assert uri is not None
    matrix = open_source(uri, fetch_artifact=context.fetch_artifact)
    if matrix.rows.shape != (corpus.n_vocab, config.d_model):
        raise TrialError(
            f"{side}_rows_from {uri} has {matrix.rows.shape[0]} rows of {matrix.rows.shape[1]}; "
            f"this model needs {corpus.n_vocab} of {config.d_model}"
        )
    if matrix.tokens != corpus.vocabulary.tokens:
        raise TrialError(
            f"{side}_rows_from {uri} has other tokens than {config.tokenizer} on {config.corpus}: "
            "both trials need the same corpus and tokenizer"
        )
    return matrix.rows


_BETAS = (0.9, 0.95)


class Trainer(trainer.Trainer):
    """A GPT-2 in training."""

    def __init__(
        self, model: GPT2LMHeadModel, tokens: np.ndarray, config: PretrainConfig, device: str
    ) -> None:
        """Prepare to train `model`, which moves to `device`, on a stream of token ids."""
        decays, others = parameter_groups(model)
        super().__init__(
            model,
            config,
            device,
            decays=decays,
            others=others,
            weight_decay=config.weight_decay,
            betas=_BETAS,
        )
        self.model, self.config = model, config
        seed = config.seed if config.data_seed is None else config.data_seed
        self._batches = ShuffledBatches(Windows(tokens, config.context), config.batch_size, seed)
        compiled = config.compile and self.device.type == "cuda"
        self._losses_of = torch.compile(token_losses) if compiled else token_losses

    def loss_parts(self, step: int) -> Iterator[Tensor]:
        """The mean loss of a batch, one micro-batch at a time."""
        micro_batches = self._on_device(self._batches[step]).split(self.config.micro_batch_size)
        for micro_batch in micro_batches:
            yield self._forward(micro_batch).mean() / len(micro_batches)

    def token_losses(self, sequences: np.ndarray) -> np.ndarray:
        """-ln p of every token but the first of each sequence, float32, without training."""
        with torch.no_grad():
            parts = self._on_device(sequences).split(self.config.micro_batch_size)
            return torch.cat([self._forward(part) for part in parts]).cpu().numpy()

    def _forward(self, sequences: Tensor) -> Tensor:
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        ):
            losses: Tensor = self._losses_of(self.model, sequences)
        return losses

    def _on_device(self, sequences: np.ndarray) -> Tensor:
        return torch.from_numpy(sequences).to(self.device)
