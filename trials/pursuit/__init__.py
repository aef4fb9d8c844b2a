"""The kind `pursuit`: declared in `kind`, done in `run`.

Other kinds build on it: `learn` (from rows to a dictionary), `code` (certified codes and their
errors), `measure` (the metrics that `metrics` declares) and `artifacts`.
"""
