"""The kind `circles`: do tokens lie on circles, those of known words and those that nobody named?

Words whose order is known are held against all orders of the same rows, and a line is told from a
circle by whether its ends meet. Neighbourhoods of tokens and groups of atoms are searched for loops
by persistent homology, each beside Gaussian clouds of its own covariance.
"""

from __future__ import annotations

from trials.api import Chart, Comparison, Control, TrialKind
from trials.circles.config import CirclesConfig
from trials.circles.metrics import METRICS
from trials.inputs.rows import ROWS_FIELDS, rows_digests

KIND = TrialKind(
    name="circles",
    version=6,
    summary="Circles of tokens: ordered sets of words, and loops in neighbourhoods and atoms.",
    config=CirclesConfig,
    metrics=METRICS,
    objective="loop_excess_neighbourhoods",
    run="trials.circles.run:run",
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("n_circles", at="n_sets_tested", shown="difference"),
            Comparison("fourier_excess", at="n_round_sets_tested", shown="difference"),
            Comparison("loops_per_thousand_neighbourhoods", at="n_sets_tested", shown="difference"),
            Comparison("loops_per_thousand_groups", at="n_sets_tested", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "nonnegative", "l1_penalty"),
    ),
    charts=(
        Chart(
            title="Sets of words in a circle",
            x="n_ordered",
            y="n_circles",
            colour="null",
            caption="Ordered beyond chance at a false discovery rate of 5 %; of these, closed.",
        ),
        Chart(
            title="Loops a thousand candidates",
            x="loops_per_thousand_groups",
            y="loops_per_thousand_neighbourhoods",
            colour="null",
            caption="Groups of atoms, and neighbourhoods of tokens, that outlive their null.",
        ),
    ),
)
