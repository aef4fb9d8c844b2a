"""Makes the trials exist that a sweep file declares.

A sweep goes through these rooms in this order:

- here: `keys` (a config's identity), `plan` (what must run), `preflight` (what must hold before),
  `lineage` (artifacts of other trials), `rerun` (repeat one stored trial)
- `search/`: which points of the space are tried next, and when a trial is stopped early
- `driver/`: the process that runs a sweep: `drive` is the place to start reading
- `runner` and `runners`: the interface to what runs trials; `inprocess` and `tune_runner/` (Ray)
  implement it
- `worker/`: what happens around one trial in the process that runs it
"""
