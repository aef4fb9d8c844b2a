"""What exists: the journal of each sweep, the tracking store, and one typed table over all sweeps.

- `location`: which store, and where its parts are. `artifacts`: files of trials, with digests.
- `lease/`: one driver per sweep. `journal/`: the driver's write-ahead log, and the flusher that
  ships it to the database.
- `tracking/`: the database of results (MLflow); the only package that imports mlflow. `opening`
  imports it when it is needed.
- `sql/`: reads SQLite and PostgreSQL directly, without mlflow: what every command that looks asks.
- `run_format/`: how a trial is written as a run of MLflow, and what its UI shows of it.
- `results_table`, `query_text`, `selection`: one table and queries on it; `tables/`: what trials
  left in files, for queries. `versions`, `differences`: which rows count, how two differ.
- `removal/`: removes trials, sweeps and artifacts; what a killed removal left can be finished.
- `fsck/`: compares journal, database and artifacts, and repairs them.
- `sqlite_file`, `file_system`, `relocation`, `scratch`: files, locks and moved folders.

Data flows from the journal through the flusher to `tracking`, and from there to the table. `fsck`
imports all other rooms, `journal` imports `lease`, `tracking` imports both; nothing imports back.
"""
