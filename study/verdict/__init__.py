"""The research question, decided by a rule that was written down before the results."""
