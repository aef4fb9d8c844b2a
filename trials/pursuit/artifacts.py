"""Artifacts of the kind `pursuit`: arrays, a table, figures."""

from __future__ import annotations

import json

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.rows import TokenRows
from trials.kernels.dictionaries import atom_use
from trials.pursuit.code import Coded
from trials.pursuit.measure import error_by_decile

_TOP_TOKENS = 10


def arrays(data: TokenRows, coded: Coded) -> dict[str, dict[str, np.ndarray]]:
    """Dictionary, codes in CSR parts, and per-token errors.

    `(embedding[token_id] - offset) / divisor` is near `codes @ atoms`; side is 0 for training,
    1 for validation and 2 for held-out tokens.
    """
    codes = coded.codes
    return {
        "dictionary": {"atoms": coded.atoms, "offset": data.offset},
        "codes": {
            "data": codes.data,
            "indices": codes.indices.astype(np.int32),
            "indptr": codes.indptr.astype(np.int64),
            "shape": np.array(codes.shape, dtype=np.int64),
            "debiased_data": coded.debiased.data,
            "token_id": data.ids,
        },
        "tokens": {
            "token_id": data.ids,
            "token": np.array(data.names, dtype=object),
            "side": data.side(),
            "weight": data.weights,
            "divisor": data.divisor,
            "squared_error": coded.errors.error,
            "debiased_squared_error": coded.debiased_errors.error,
            "variance": coded.errors.variance,
            "gap": coded.gap,
        },
    }


def atom_table(data: TokenRows, coded: Coded) -> Table:
    """One row per atom, most used first: its use by all tokens and its ten top tokens."""
    use = atom_use(coded.codes, data.weights)
    order = np.lexsort((-use.weight, -use.n_tokens))
    by_atom = coded.codes.tocsc()
    top = []
    for atom in order:
        column = slice(by_atom.indptr[atom], by_atom.indptr[atom + 1])
        values, tokens = by_atom.data[column], by_atom.indices[column]
        strongest = np.argsort(-np.abs(values), kind="stable")[:_TOP_TOKENS]
        pairs = [[data.names[tokens[i]], round(float(values[i]), 4)] for i in strongest]
        top.append(json.dumps(pairs, ensure_ascii=False))
    return {
        "atom": order.tolist(),
        "n_tokens": use.n_tokens[order].tolist(),
        "weight_frac": use.weight[order].tolist(),
        "top_tokens": top,
    }


def figures(data: TokenRows, coded: Coded) -> dict[str, Figure]:
    """Error by frequency decile, l0 of held-out tokens, use of the atoms."""

    def draw(title: str, x: str, y: str) -> tuple[Figure, Axes]:
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel=x, ylabel=y)
        return figure, axes

    by_decile, axes = draw("Held-out error by frequency", "decile, 0 the most frequent", "FVU")
    axes.bar(range(10), list(error_by_decile(data, coded).values()))
    l0, axes = draw("Atoms per held-out token", "l0", "tokens")
    axes.hist(coded.sizes.l0[data.split.held_out], bins=40)
    use, axes = draw("Use of the atoms", "atom, most used first", "1 + tokens")
    axes.plot(1 + np.sort(atom_use(coded.codes, data.weights).n_tokens)[::-1])
    axes.set_yscale("log")
    return {"error_by_decile": by_decile, "l0_histogram": l0, "atom_use": use}
