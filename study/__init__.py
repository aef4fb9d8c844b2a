"""The research question, on top of the service: what the sweeps of embedding matrices show.

    verdict    decides the two hypotheses by a rule set in advance (`rules/verdict.yaml`)
    report     one page on the whole study: the verdict, and a section for each question
    selftest   plants structures and nulls, and checks what the statistics find
    commands   `sweeper verdict`, `sweeper study report` and `sweeper selftest`

This is the only room that knows both the service and the kinds. It reads rows and artifacts from
the store and writes only tags. Its commands reach the command line by the entry-point group
`sweeper.commands`; the service runs without it. Start with `verdict/decide.py`.
"""
