"""The driver: one process that runs a sweep, from the lock on its journal to the closed submission.

`drive` is the whole course of it. `feed` says which trial is next, `attempts` what becomes of each
try at it; both report events, which go to the journal and from there to the store (`submission`,
`claim`, `shipping`) and to the terminal (`progress`). `existing` and `members` know what need not
run, `budget` what it may cost, and `interrupts` what signals ask for.
"""
