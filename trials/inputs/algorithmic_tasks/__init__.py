"""Tasks whose answers are known: sums, brackets, looking up, remembering.

Each draws sequences from a generator, says which tokens are answers, and knows a shortcut that does
not solve it. `fixed_sets` are evaluated on; a `Stream` trains and holds none of them.
"""

from __future__ import annotations

from trials.inputs.algorithmic_tasks.arithmetic import DecimalAddition, ModularAddition
from trials.inputs.algorithmic_tasks.brackets import Brackets
from trials.inputs.algorithmic_tasks.recall import Memorisation, Needle
from trials.inputs.algorithmic_tasks.streams import FixedSets, Stream, fixed_sets
from trials.inputs.algorithmic_tasks.task import Sequences, Task

__all__ = [
    "Brackets",
    "DecimalAddition",
    "FixedSets",
    "Memorisation",
    "ModularAddition",
    "Needle",
    "Sequences",
    "Stream",
    "Task",
    "fixed_sets",
]
