"""What tables and charts call the metrics of the kind `circles`."""

_SORTS = {"neighbourhoods": "neighbourhoods of tokens", "groups": "groups of atoms"}

TITLES = {
    "n_sets_tested": "ordered sets of words tested",
    "n_ordered": "sets of words that show their order",
    "n_circles": "sets of words on a circle",
    "n_round_sets_tested": "cyclic sets of words tested",
    "n_round_circles": "cyclic sets of words on a circle",
    "fourier_excess": "share of the first Fourier pair beyond chance",
    **{f"loops_per_thousand_{sort}": f"loops per 1000 {words}" for sort, words in _SORTS.items()},
    **{f"loop_excess_{sort}": f"evidence for loops in {words}" for sort, words in _SORTS.items()},
}
