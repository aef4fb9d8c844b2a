"""Tables and pages about trials of any kind; reads the store, and writes nothing to it.

    listing, kinds, diff, rerun_page, fsck_page
                      the text and JSON of one command each
    frames            the answer of `query` as a table, CSV, JSON or Parquet
    final_table       what `run` prints at its end
    html/             the HTML page
    lookup            which trial a user means
    summary, matched, contrast
                      counts, best settings, real vs. null: the numbers that tables and pages show
    artifact_table, artifact_distance
                      tables that trials left, and how far two artifacts are apart
    tables, words     text tables, numbers and names

Start with `summary` and `contrast`: both turn rows of the store into the numbers of a page.
"""
