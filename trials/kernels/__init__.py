"""Numerics: arrays in, arrays and certificates out. No configs, no logging.

    sparse_coding  codes of given signals over a given dictionary, each with its certificate
    dictionaries   learned, compared and random dictionaries; autoencoders
    structure      circles, loops, matrices, clusters, residuals: a score with its null
    statistics     p-values, intervals, gaps between arms, asymptotes
    compiled       the loops that numba compiles, and the cache of their machine code

Public names are gathered in each room's `__init__`; a module with a leading underscore is private
to its room. All rooms share `threads`. `warm_up` compiles everything; nothing imports it.

A kernel takes arrays, then keyword-only scalars, and returns a NamedTuple. The first line of its
docstring says what it computes. Results do not depend on the number of threads. Those with a
`device` run compiled loops on "cpu", and torch on any other (`sparse_coding.device`).
"""
