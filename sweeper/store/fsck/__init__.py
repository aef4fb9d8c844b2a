"""fsck: compares journal, database and artifacts of a sweep, and repairs what it can.

- `evidence` gathers everything about a sweep: `journal_text`, `inspection` (runs in any condition)
  and copies of lost files. It draws no conclusions.
- `journal_checks`, `run_checks` and `file_checks` each compare a part of the evidence and yield a
  `Disagreement` for everything that is wrong.
- `repair`, `ship_repairs` and `rebuild` are the repairs that a disagreement can carry. They write
  through `run_editor`, the tracking store's writer and the journal.
- `check` runs all of this, and is where to start reading.
"""
