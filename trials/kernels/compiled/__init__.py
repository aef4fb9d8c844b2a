"""Loops that numba compiles, and the cache of their machine code.

The other rooms call these functions; nothing here calls them back. `simd` and `loops` are what the
others are made of.
"""
