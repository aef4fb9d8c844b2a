"""Which points of a space are tried, in which order, and which trials are stopped early.

`searches` makes the search that a sweep file names; a search proposes (`proposal`) and is told the
results. `optuna_search` and `importance` are the only modules that import optuna. `stopping` holds
the rules of early stopping.
"""
