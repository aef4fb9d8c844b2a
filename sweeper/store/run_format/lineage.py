"""The runs whose artifacts a trial reads, as tags that MLflow's UI shows. No mlflow in here.

A config names them in fields such as `source: run:RUN_ID/step-000500`. The tag holds their ids; the
run's description gets a line with a link to each, and keeps its other text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.records import TrialSpec
from sweeper.store.run_format.record import MAX_TAG_CHARS

NOTE_TAG = "mlflow.note.content"
PARENTS_TAG = "sweeper.parents"
_BEGINNING = "Parent runs, whose artifacts this one reads: "
_OUR_LINE = re.compile(rf"^{_BEGINNING}.*$", re.MULTILINE)
_RUN = re.compile(r"run:([\w-]+)")


def parents_of(spec: TrialSpec) -> list[str]:
    """Ids of the runs that the config or the inputs name, without duplicates, in field order."""
    texts = (*_texts(spec.config), *_texts(spec.input_digests))
    named = [[_RUN.match(uri) for uri in text.split()] for text in texts]
    return list(dict.fromkeys(m[1] for found in named if all(found) for m in found if m))


def lineage_tags(experiments: Mapping[str, str], note: str) -> dict[str, str]:
    """Tags for a run that reads those runs: their ids and the description; empty if none.

    Args:
        experiments: experiment by run id, "" for an unknown run, which is shown without a link.
        note: the current description. Our line in it is replaced and everything else kept. If the
            line does not fit, the description stays unchanged.
    """
    if not experiments:
        return {}
    line = _BEGINNING + ", ".join(_link(*each) for each in experiments.items())
    extended, n_replaced = _OUR_LINE.subn(line, note)
    if not n_replaced:
        extended = f"{note}\n\n{line}" if note else line
    fits = len(extended) <= MAX_TAG_CHARS
    return {
        PARENTS_TAG: ",".join(experiments)[:MAX_TAG_CHARS],
        **({NOTE_TAG: extended} if fits else {}),
    }


def _link(run_id: str, experiment: str) -> str:
    # Relative, to work under any host and path of the UI.
    return f"[{run_id}](#/experiments/{experiment}/runs/{run_id})" if experiment else run_id


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
