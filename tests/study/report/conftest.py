"""A real store that trials are shipped into, and the page that is written from it."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from study.commands import write_study_page
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.artifacts import manifest
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking
from sweeper.store.versions import Inputs
from trials import load_kind


class Study:
    """A store, and the page on it."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        self.tracking = Tracking(locate_store(str(store)))
        self._n = 0
        self._parent = self.tracking.open_submission("study", "first", {})

    def keep(
        self,
        kind: str,
        config: Mapping[str, Any],
        metrics: Mapping[str, float],
        *,
        tables: Mapping[str, Sequence[Mapping[str, Any]]] = {},
        pages: Sequence[str] = (),
        facts: Mapping[str, str] = {},
        uncertified: str = "",
        inputs: Mapping[str, str] = {},
        at: int = 0,
    ) -> None:
        """Ship one complete trial, with tables as a trial leaves them."""
        self._n += 1
        staged = self.folder / f"staged{self._n}"
        staged.mkdir()
        for name, lines in tables.items():
            with (staged / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(lines[0]))
                writer.writeheader()
                writer.writerows(lines)
        for name in pages:
            (staged / f"{name}.html").write_text("<p>a map</p>")
        declared = load_kind(kind)
        spec = TrialSpec(
            key=f"k{self._n}",
            kind=kind,
            kind_version=declared.version,
            config=dict(config),
            input_digests=dict(inputs),
            is_control=declared.is_control(config),
        )
        outcome = Outcome(
            key=spec.key,
            state=TrialState.COMPLETE,
            metrics=dict(metrics),
            artifacts=manifest(staged),
            facts=dict(facts),
            uncertified=uncertified,
            started_ms=1_700_000_000_000 + at,
            ended_ms=1_700_000_060_000,
        )
        self.tracking.finish_trial("study", self._parent, spec, outcome, staged)

    def page(self, inputs: Inputs = "latest") -> Path:
        """Write the page as the command line does."""
        output = self.folder / "study.html"
        return write_study_page(output, self.tracking.results.rows(), self.tracking, inputs)

    def text(self, question: str, inputs: Inputs = "latest") -> str:
        """What a reader sees of the part under a question."""
        (part,) = re.findall(
            rf"<section>\s*<h2>{re.escape(question)}</h2>(.*?)<section>",
            self.page(inputs).read_text().replace("<section class=", "<div class=") + "<section>",
            flags=re.DOTALL,
        )
        part = re.sub(r"<script.*?</script>", " ", part, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())


@pytest.fixture
def study(tmp_path: Path, store_dir: Path) -> Study:
    """An empty study."""
    return Study(tmp_path, store_dir)
