"""What changed rows cost before anything is trained, a block of rows at a time."""

from __future__ import annotations

from functools import partial

import numpy as np

from trials.inputs.models import LanguageModel
from trials.row_swap.damage import Damage, NewRows, Original, damage
from trials.row_swap.model_and_text import Exposure
from trials.training.parts import Parts, packed, unpacked

_ROWS_OF_A_BLOCK = 16


def damage_at_start(
    parts: Parts,
    opened: LanguageModel,
    text: dict[str, Exposure],
    before: dict[str, Original],
    new: NewRows,
) -> dict[str, Damage]:
    """Damage of every token, by side; each block of rows is a part of the trial."""
    n_tokens = len(next(iter(text.values())).tokens)

    def one_block(block: np.ndarray) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for side, seen in text.items():
            found |= packed(damage(opened, seen, before[side], new.of(block), block), side)
        return found

    found = []
    for first in range(0, n_tokens, _ROWS_OF_A_BLOCK):
        block = np.arange(first, min(first + _ROWS_OF_A_BLOCK, n_tokens))
        name = f"changed-{first:05d}"
        found.append(parts.part(name, int(block[-1]) + 1, partial(one_block, block)))
    return {side: unpacked(found, side) for side in text}
