"""The Python API, which `import sweeper` offers. The command line uses the same functions.

    sweeps       `Sweep`, `check` and `plan`: what should exist; light to import
    running      `run`: makes it exist
    reports      the page of a sweep that has run
    store        `open_store`: what exists, as tables
    trial        one trial of a store, with its arrays, tables and figures
    frames       pandas, polars or Arrow
    export       results as files for other programs: tables, SAELens autoencoders

Every error that a caller can fix is a `sweeper.UserError` of one line.
"""
