"""One self-contained page for the whole study: the question, the verdict, and what each part found.

`page` puts it together. A part whose kind has a module here is told by it: a sentence that says
what was found and how sure it is, then its numbers beside the null's. The sentences come from the
numbers alone.
"""

from study.report.page import TOPICS, write_study

__all__ = ["TOPICS", "write_study"]
