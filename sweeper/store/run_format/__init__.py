"""How a trial is written as a run of MLflow, and what its UI shows of it. No mlflow in here.

- `record`: a trial as params, metrics and tags of a run, and back.
- `name`: the name of the run in the UI; `lineage`: links to the runs whose artifacts it reads.
- `saved_view`: the view of a whole sweep, kept in tags of its experiment.

`record` and `lineage` are stored formats: what an earlier version wrote must still be read.
"""
