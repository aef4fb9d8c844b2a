"""Removes what is stored: trials, whole sweeps, and artifacts that can be computed again.

- `hold`: takes a sweep as a driver does, so that nobody runs it meanwhile; fsck uses it too.
- `readers`: which trials read what another one left.
- `remove`: trials and sweeps, from journal, database and artifacts.
- `prune`: chooses artifacts by age, size and standing, and removes their files only.

The first write is a tag in the database, the last one MLflow's deletion. Between the two the same
command, or fsck, finds what was interrupted and finishes it, and no driver starts.
"""
