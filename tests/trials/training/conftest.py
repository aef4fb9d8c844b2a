"""The smallest trials of the kinds that train."""

from tests.trials.embedding_only.conftest import trials_here
from tests.trials.pretrain.conftest import runs

__all__ = ["runs", "trials_here"]
