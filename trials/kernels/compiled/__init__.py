"""Loops that numba compiles, and the cache of their machine code.

The other rooms call these functions; nothing here imports them. `simd` (vector instructions) and
`loops` (how functions are compiled, sums of scaled rows) are the base of the rest:

    codes, block_rounds, working_set, small_lasso, simplex   the LASSO, from a block of signals
                                                             down to one small problem
    penalty_path        codes along a path of penalties
    matching_pursuit    greedy codes
    least_squares       coefficients on given supports
    dictionary_update   statistics of codes and the update of atoms
    cache               compile once, in a subprocess

Statements of a compiled function are not reordered for looks: sums may be reassociated by the
compiler, so another order of statements can change the last digits of every result.
"""
