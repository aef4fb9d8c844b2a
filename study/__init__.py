"""The research question on top of the service: what the sweeps of embedding matrices come to.

    verdict    decides the two hypotheses by a rule that was fixed before (`rules/verdict.yaml`)
    report     one page on the whole study: its verdict, and what else the rows hold
    selftest   plants structures and nulls, and measures whether the science finds what it must
    commands   `sweeper verdict`, `sweeper study report` and `sweeper selftest`

This is the only room that knows both the service and the kinds. Its commands reach the command line
by the entry-point group `sweeper.commands`; `sweeper` runs without it.
"""
