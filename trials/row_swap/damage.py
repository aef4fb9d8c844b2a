"""The damage of changed rows, for all tokens in few passes.

An input row only matters in the sequences that contain its token. So every sequence passes the
model once, with the row of its own token changed. An output row changes one logit everywhere: given
the hidden states of the original model, the new loss is exact arithmetic, for all tokens at once.
Once the body was trained neither holds: `losses_of_whole` evaluates the model as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trials.inputs.models import LanguageModel
from trials.row_swap.rows import NewRows
from trials.row_swap.text import Exposure

_AT_ONCE = 16


class Losses(NamedTuple):
    """Mean loss per token, in nats, or its rise; NaN if the token does not occur in that role.

    Attributes:
        overall: over all text.
        around: in the sequences that contain the token.
        as_input: right after the token.
        as_target: where the token is the target.
    """

    overall: np.ndarray
    around: np.ndarray
    as_input: np.ndarray
    as_target: np.ndarray

    def minus(self, other: Losses) -> Losses:
        """Difference, token by token."""
        return Losses(*(mine - its for mine, its in zip(self, other, strict=True)))


class Damage(NamedTuple):
    """Damage per token, in nats; NaN if the token does not occur in that role.

    Attributes:
        overall: rise of the mean loss over all text.
        around: rise of the mean loss in the sequences that contain the token.
        as_input: rise of the loss right after the token.
        as_target: rise of the loss where the token is the target.
        kl: mean KL divergence of the changed prediction from the original one.
    """

    overall: np.ndarray
    around: np.ndarray
    as_input: np.ndarray
    as_target: np.ndarray
    kl: np.ndarray

    @property
    def losses(self) -> Losses:
        """The rises of the loss."""
        return Losses(self.overall, self.around, self.as_input, self.as_target)


T = TypeVar("T", Damage, Losses)


class Head(NamedTuple):
    """An unembedding: weight (n_vocab, d_model), and a bias or None."""

    weight: Tensor
    bias: Tensor | None

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of all tokens."""
        return functional.linear(hidden, self.weight, self.bias)

    def logits_of(self, hidden: Tensor, tokens: Tensor, rows: Tensor) -> Tensor:
        """Logits of some tokens with these rows instead of their own."""
        return functional.linear(hidden, rows, None if self.bias is None else self.bias[tokens])


class Original(NamedTuple):
    """The original model: its matrices, and its hidden states on the text.

    Attributes:
        embedding: weight of the input side, a copy.
        head: the output side, a copy.
        hidden: for each token, (n_sequences, context, d_model).
        base_hidden: (n_base, context, d_model).
        base_losses: (n_base, context).
        base_scale: (n_base, context), ln of the sum of the exponentials of their logits.
    """

    embedding: Tensor
    head: Head
    hidden: list[Tensor]
    base_hidden: Tensor
    base_losses: Tensor
    base_scale: Tensor


def packed(losses: Damage | Losses, prefix: str) -> dict[str, np.ndarray]:
    """The arrays that a part stores."""
    return {f"{prefix}/{field}": values for field, values in losses._asdict().items()}


def unpacked(what: type[T], parts: Sequence[Mapping[str, np.ndarray]], prefix: str) -> T:
    """Values of the tokens of all parts, concatenated."""
    return what(*(np.concatenate([p[f"{prefix}/{f}"] for p in parts]) for f in what._fields))


@torch.no_grad()
def original(opened: LanguageModel, text: Exposure) -> Original:
    """Pass all sequences once."""
    embedding, head = opened.input_embedding.weight.detach().clone(), _head(opened)
    sizes = [len(s) for s in text.sequences]
    seen = _hidden(opened, torch.from_numpy(np.concatenate(text.sequences)), embedding)
    base = torch.from_numpy(text.base)
    base_hidden = _hidden(opened, base, embedding)
    losses, scales = [], []
    for h, s in zip(base_hidden.split(_AT_ONCE), base.split(_AT_ONCE), strict=True):
        logits = head.logits(h)
        losses.append(_losses(logits.log_softmax(-1), s))
        scales.append(logits.logsumexp(-1))
    hidden = list(seen.split(sizes))
    return Original(embedding, head, hidden, base_hidden, torch.cat(losses), torch.cat(scales))


@torch.no_grad()
def mean_loss(before: Original, text: Exposure) -> float:
    """Over the sequences of the tokens, each with its own weight in all text."""
    losses = [
        float(_losses(before.head.logits(h).log_softmax(-1), torch.from_numpy(s)).mean())
        for h, s in zip(before.hidden, text.sequences, strict=True)
    ]
    return float(np.mean(losses))


@torch.no_grad()
def damage(
    opened: LanguageModel, text: Exposure, before: Original, new: NewRows, which: np.ndarray
) -> Damage:
    """Damage of one row at a time. The body and all other rows are the original ones.

    `which` are positions in `text.tokens`; `new` has their rows in the same order.
    """
    elsewhere = np.zeros(len(which))
    if new.said is not None:
        elsewhere = _rise_of_one_logit(text, before, new.said, which)
    hidden = [before.hidden[i] for i in which]
    if new.read is not None:
        hidden = _with_rows_read(opened, text, before, new.read, which)
    per_token = []
    for place, i in enumerate(which):
        logits = before.head.logits(hidden[place])
        if new.said is not None:
            token = text.tokens[i : i + 1]
            said = before.head.logits_of(
                hidden[place], torch.from_numpy(token), new.said[place][None]
            )
            logits[..., int(token[0])] = said[..., 0]
        after = logits.log_softmax(-1)
        per_token.append(_compare(text, before, int(i), after, float(elsewhere[place])))
    return Damage(*(np.array(column) for column in zip(*per_token, strict=True)))


@torch.no_grad()
def losses_of_whole(opened: LanguageModel, text: Exposure, which: np.ndarray) -> Losses:
    """Losses of the whole model as it is now, body and rows."""
    embedding, head = opened.input_embedding.weight, _head(opened)

    def losses(sequences: Tensor) -> Tensor:
        hidden = _hidden(opened, sequences, embedding)
        parts = zip(hidden.split(_AT_ONCE), sequences.split(_AT_ONCE), strict=True)
        return torch.cat([_losses(head.logits(h).log_softmax(-1), s) for h, s in parts]).double()

    base = torch.from_numpy(text.base)
    of_base = losses(base)
    per_token = []
    for i in which:
        sequences = torch.from_numpy(text.sequences[i])
        apart = _apart(base, int(text.tokens[i]))
        elsewhere = float(of_base[apart].mean()) if apart.any() else 0.0
        per_token.append(_by_role(text, int(i), losses(sequences), elsewhere))
    return Losses(*(np.array(column) for column in zip(*per_token, strict=True)))


def _compare(
    text: Exposure, before: Original, i: int, after: Tensor, elsewhere: float
) -> tuple[float, ...]:
    sequences = torch.from_numpy(text.sequences[i])
    was = before.head.logits(before.hidden[i]).log_softmax(-1)
    rise = (_losses(after, sequences) - _losses(was, sequences)).double()
    kl = float((was.exp() * (was - after)).sum(dim=-1).double().mean())
    return (*_by_role(text, i, rise, elsewhere), kl)


def _by_role(
    text: Exposure, i: int, losses: Tensor, elsewhere: float
) -> tuple[float, float, float, float]:
    """Means as in `Losses`, from the losses in the token's sequences and those elsewhere."""
    sequences, token = torch.from_numpy(text.sequences[i]), int(text.tokens[i])
    read, said = sequences[:, :-1] == token, sequences[:, 1:] == token
    share, around = float(text.share[i]), float(losses.mean())
    return (
        share * around + (1 - share) * elsewhere,
        around,
        float(losses[read].mean()) if read.any() else float("nan"),
        float(losses[said].mean()) if said.any() else float("nan"),
    )


def _rise_of_one_logit(
    text: Exposure, before: Original, rows: Tensor, which: np.ndarray
) -> np.ndarray:
    """Rise of the mean loss in base sequences without the token, where only its logit changed."""
    tokens, base = torch.from_numpy(text.tokens[which]), torch.from_numpy(text.base)
    apart = torch.stack([_apart(base, int(t)) for t in tokens], dim=-1)
    total = torch.zeros(len(which), dtype=torch.float64)
    unchanged = before.head.weight[tokens]
    parts = (x.split(_AT_ONCE) for x in (before.base_hidden, before.base_scale, base, apart))
    for hidden, scale, sequences, alone in zip(*parts, strict=True):
        old = before.head.logits_of(hidden, tokens, unchanged).double()
        now = before.head.logits_of(hidden, tokens, rows).double()
        scale = scale[..., None].double()
        rise = torch.log1p((now - scale).exp() - (old - scale).exp())
        said = sequences[:, 1:, None] == tokens
        rise = rise - torch.where(said, now - old, torch.zeros_like(now))
        total += (rise * alone[:, None, :]).sum(dim=(0, 1))
    n = apart.sum(dim=0) * (base.shape[1] - 1)
    return (total / n.clamp(min=1)).numpy()


def _with_rows_read(
    opened: LanguageModel, text: Exposure, before: Original, rows: Tensor, which: np.ndarray
) -> list[Tensor]:
    """Hidden states of every token's sequences with that token's row changed, in one pass."""
    sizes = [len(text.sequences[i]) for i in which]
    places = torch.repeat_interleave(torch.arange(len(which)), torch.tensor(sizes))
    sequences = torch.from_numpy(np.concatenate([text.sequences[i] for i in which]))
    own = torch.from_numpy(text.tokens[which])[places]
    changed = (own, rows[places])
    return list(_hidden(opened, sequences, before.embedding, changed).split(sizes))


def _hidden(
    opened: LanguageModel,
    sequences: Tensor,
    embedding: Tensor,
    changed: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Hidden states of all tokens except the last; `changed`: a token and its row per sequence."""
    parts = []
    for start in range(0, len(sequences), _AT_ONCE):
        ids = sequences[start : start + _AT_ONCE, :-1]
        inputs = functional.embedding(ids, embedding)
        if changed is not None:
            own, rows = (x[start : start + _AT_ONCE] for x in changed)
            inputs = torch.where((ids == own[:, None])[..., None], rows[:, None], inputs)
        parts.append(opened.model.base_model(inputs_embeds=inputs).last_hidden_state)
    return torch.cat(parts)


def _apart(base: Tensor, token: int) -> Tensor:
    return ~(base[:, :-1] == token).any(dim=1)


def _head(opened: LanguageModel) -> Head:
    layer = opened.output_embedding
    bias = None if layer.bias is None else layer.bias.detach().clone()
    return Head(layer.weight.detach().clone(), bias)


def _losses(log_probabilities: Tensor, sequences: Tensor) -> Tensor:
    return -log_probabilities.gather(-1, sequences[:, 1:, None])[..., 0]
