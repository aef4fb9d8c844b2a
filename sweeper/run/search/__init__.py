"""Which points of a space are tried, in which order, and which trials are stopped early.

`searches` makes the search that a sweep file names; a search proposes (`proposal`) and is told the
results. `samplers` says which of Optuna's samplers suits a space, and `with_optuna` is the only
package that imports optuna. `target` solves for a wanted metric, at each point by a `root`.
`stopping` holds the rules of early stopping.
"""
