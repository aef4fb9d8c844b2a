"""One self-contained page on the whole study: the question, the verdict, and a part per topic.

    page              puts the page together: which topics there are, which kinds answer them
    verdict_section   the verdict: sentences, charts, tables
    circles, atom_map, matrix_binding, residual, row_swap
                      the sections on trials of the kind of that name, one per matrix
    trial_groups      which trials belong together, and their artifacts
    null_comparison   real vs. null over seeds, and the words for it
    section, figures  what a section consists of

Every sentence on the page is computed from the numbers.
"""

from study.report.page import TOPICS, write_study
from study.report.trial_groups import TrialFiles

__all__ = ["TOPICS", "TrialFiles", "write_study"]
