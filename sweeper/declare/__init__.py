"""What should exist: a sweep file becomes a validated, frozen `Sweep` before anything starts.

    files -> reader -> overrides -> read_space, runs -> check -> loading -> Sweep

    files         sweep files by name or path, and the local files that configs name
    reader        YAML text to a `document`: plain values that know where they were written
    overrides     `--set NAME=VALUE`; `old_words` are keys that have a new name
    sweep_file    the keys of a sweep file; `space` and `search` are its larger parts
    read_space    the entries under `space` and `cases`; `runs`, the entries `{runs: SWEEP}`
    validation    models built from a document, with pydantic's errors as ours
    check         rules that tie a sweep file to the kind it names
    loading       start here: from a sweep file to a `sweep`; `canonical` is the way back, and
                  from values of Python

A sweep file is data that people mistype: every error names the file, the key, the rule and the
nearest match.
"""
