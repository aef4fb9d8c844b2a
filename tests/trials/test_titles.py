"""What charts, comparisons and tiles call the metrics of each kind."""

from collections import Counter

import pytest

from trials import KINDS, load_kind
from trials.api import TrialKind


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> TrialKind:
    return load_kind(request.param)


def headline(kind: TrialKind) -> set[str]:
    """The metrics of a page's axes and tiles."""
    charted = {name for chart in kind.charts for name in (chart.x, chart.y)}
    comparisons = kind.control.comparisons if kind.control else ()
    compared = {name for one in comparisons for pair in one.pairs for name in pair}
    return {kind.objective, *compared, *(charted & set(kind.metric_names))}


def test_metrics_of_axes_and_tiles_have_a_title_in_words(kind: TrialKind) -> None:
    for name in headline(kind):
        title = kind.metric(name).title
        assert title, name
        assert "_" not in title
        assert title == title.strip()


def test_no_two_metrics_of_a_kind_have_one_title(kind: TrialKind) -> None:
    titles = Counter(metric.title for metric in kind.metrics if metric.title)
    assert [title for title, n in titles.items() if n > 1] == []


def test_a_title_says_which_tokens_were_measured(kind: TrialKind) -> None:
    """What is held out says so: the search never saw it."""
    for metric in kind.metrics:
        if metric.title and metric.held_out:
            assert "held-out" in metric.title, metric.name
