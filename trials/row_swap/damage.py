"""What a changed row costs, all tokens in few passes.

A row that is read matters in the sequences that hold its token and in no others, so every sequence
passes the model once, with its own token's row changed. A row that is predicted changes one logit
everywhere: from the hidden states of the model as it is, that is exact arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trials.inputs.models import LanguageModel
from trials.row_swap.exposure import Exposure

_AT_ONCE = 16


class Damage(NamedTuple):
    """Of each token, in nats; NaN where it does not occur so.

    Attributes:
        overall: rise of the mean loss over all text.
        as_input: of the loss right after the token.
        as_target: of the loss where the token is what comes.
        kl: mean KL divergence of the original from the changed prediction, in the sequences.
    """

    overall: np.ndarray
    as_input: np.ndarray
    as_target: np.ndarray
    kl: np.ndarray


class Original(NamedTuple):
    """What the unchanged model says: by token, and on the base sequences.

    Attributes:
        log_probabilities: for each token (n_sequences, context, n_vocab), float32.
        base_hidden: (n_base, context, d_model).
        base_losses: (n_base, context).
    """

    log_probabilities: list[Tensor]
    base_hidden: Tensor
    base_losses: Tensor


def original(opened: LanguageModel, text: Exposure) -> Original:
    """Pass all sequences once."""
    with torch.no_grad():
        seen = [_predict(opened, torch.from_numpy(s), None, None) for s in text.sequences]
        base = torch.from_numpy(text.base)
        hidden = _hidden(opened, base, None)
        losses = _losses(_said(opened, hidden, None), base)
    return Original(seen, hidden, losses)


def damage(
    opened: LanguageModel,
    text: Exposure,
    before: Original,
    scope: str,
    new: dict[int, Tensor],
) -> Damage:
    """Change one row at a time of `opened` and measure; the model stays as it is.

    `new[token]` is (n_matrices, d_model): the row as it is read comes first, as it is predicted
    last; one that is tied is both.
    """
    found = []
    for i, token in enumerate(text.tokens):
        row = new[int(token)]
        as_read = (int(token), row[0]) if scope != "output" else None
        as_said = (int(token), row[-1]) if scope != "input" else None
        with torch.no_grad():
            after = _predict(opened, torch.from_numpy(text.sequences[i]), as_read, as_said)
            apart = _apart(text, i)
            elsewhere = _base_rise(opened, before, text, as_said, apart) if apart.any() else 0.0
        found.append(_measured(text, before, i, after, elsewhere))
    return Damage(*(np.array(column) for column in zip(*found, strict=True)))


def damage_left(
    opened: LanguageModel, text: Exposure, before: Original, which: np.ndarray
) -> np.ndarray:
    """`Damage.overall` of a model as it is now, trained on with changed rows, in nats.

    Of the tokens at the positions `which` of `text.tokens`, each in its own sequences; what the
    training did to all other text counts too.
    """
    found = []
    with torch.no_grad():
        base = torch.from_numpy(text.base)
        now = _losses(_predict(opened, base, None, None), base)
        for i in which:
            after = _predict(opened, torch.from_numpy(text.sequences[i]), None, None)
            apart = _apart(text, int(i))
            rise = float((now - before.base_losses)[apart].mean()) if apart.any() else 0.0
            found.append(_measured(text, before, int(i), after, rise)[0])
    return np.array(found)


def _apart(text: Exposure, i: int) -> Tensor:
    """Which of the base sequences do not hold the token."""
    return torch.from_numpy(~(text.base[:, :-1] == text.tokens[i]).any(axis=1))


def _measured(
    text: Exposure, before: Original, i: int, after: Tensor, elsewhere: float
) -> tuple[float, float, float, float]:
    sequences, token = torch.from_numpy(text.sequences[i]), int(text.tokens[i])
    p = before.log_probabilities[i]
    rise = _losses(after, sequences) - _losses(p, sequences)
    share = float(text.share[i])
    held, said = sequences[:, :-1] == token, sequences[:, 1:] == token
    return (
        share * float(rise.mean()) + (1 - share) * elsewhere,
        float(rise[held].mean()) if held.any() else float("nan"),
        float(rise[said].mean()) if said.any() else float("nan"),
        float((p.exp() * (p - after)).sum(dim=-1).mean()),
    )


def _base_rise(
    opened: LanguageModel,
    before: Original,
    text: Exposure,
    as_said: tuple[int, Tensor] | None,
    apart: Tensor,
) -> float:
    """Rise of the mean loss in sequences without the token, where only its logit has changed."""
    if as_said is None:
        return 0.0
    hidden, targets = before.base_hidden[apart], torch.from_numpy(text.base)[apart, 1:]
    layer = opened.output_embedding
    total = 0.0
    for states, ids in zip(hidden.split(_AT_ONCE), targets.split(_AT_ONCE), strict=True):
        logits = functional.linear(states, layer.weight, layer.bias)
        changed = logits.clone()
        changed[..., as_said[0]] = _logit(opened, states, as_said)
        chosen = ids[..., None]
        risen = (changed.logsumexp(-1) - logits.logsumexp(-1)) - (
            changed.gather(-1, chosen) - logits.gather(-1, chosen)
        )[..., 0]
        total += float(risen.sum())
    return total / targets.numel()


def _logit(opened: LanguageModel, states: Tensor, said: tuple[int, Tensor]) -> Tensor:
    token, row = said
    bias = opened.output_embedding.bias
    return states @ row + (0.0 if bias is None else bias[token])


def _predict(
    opened: LanguageModel,
    sequences: Tensor,
    as_read: tuple[int, Tensor] | None,
    as_said: tuple[int, Tensor] | None,
) -> Tensor:
    """Log-probabilities of every token but the first, (n, context, n_vocab)."""
    return _said(opened, _hidden(opened, sequences, as_read), as_said)


def _said(opened: LanguageModel, hidden: Tensor, as_said: tuple[int, Tensor] | None) -> Tensor:
    layer = opened.output_embedding
    logits = functional.linear(hidden, layer.weight, layer.bias)
    if as_said is not None:
        logits[..., as_said[0]] = _logit(opened, hidden, as_said)
    return logits.log_softmax(dim=-1)


def _hidden(opened: LanguageModel, sequences: Tensor, as_read: tuple[int, Tensor] | None) -> Tensor:
    parts = []
    for part in sequences[:, :-1].split(_AT_ONCE):
        inputs = functional.embedding(part, opened.input_embedding.weight)
        if as_read is not None:
            inputs = torch.where((part == as_read[0])[..., None], as_read[1], inputs)
        parts.append(opened.model.base_model(inputs_embeds=inputs).last_hidden_state)
    return torch.cat(parts)


def _losses(log_probabilities: Tensor, sequences: Tensor) -> Tensor:
    return -log_probabilities.gather(-1, sequences[:, 1:, None])[..., 0]
