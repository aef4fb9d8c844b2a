"""The runs whose artifacts a trial reads, as tags that MLflow's UI shows. No mlflow in here.

A config names them in fields such as `source: run:RUN_ID/step-000500`. The tag holds their ids; the
run's description gets a line with a link to each, beside whatever else stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.records import TrialSpec
from sweeper.store.run_record import MAX_TAG_CHARS

NOTE_TAG = "mlflow.note.content"
PARENTS_TAG = "sweeper.parents"
_BEGINNING = "Parent runs, whose artifacts this one reads: "
_OUR_LINE = re.compile(rf"^{_BEGINNING}.*$", re.MULTILINE)
_RUN = re.compile(r"run:([\w-]+)")


def parents_of(spec: TrialSpec) -> list[str]:
    """Ids of the runs that the config or the inputs name, each once, in the order of the fields."""
    texts = (*_texts(spec.config), *_texts(spec.input_digests))
    named = (_RUN.match(text) for text in texts)
    return list(dict.fromkeys(match[1] for match in named if match))


def lineage_tags(experiments: Mapping[str, str], note: str) -> dict[str, str]:
    """The tag and the description of a run that reads those runs; nothing if it reads none.

    Args:
        experiments: by run id, the experiment that the run is in, "" where no one knows the run:
            its id stands without a link.
        note: the description so far. Our line in it is replaced, all else stays; where the line
            does not fit, the description stays as it is.
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
    # Relative: whatever host and path the UI is opened under.
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
