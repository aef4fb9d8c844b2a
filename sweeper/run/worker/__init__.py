"""Around one trial, in the process that runs it: `execute` calls the kind and makes the outcome.

It limits memory (`memory`) and threads (`threads`), and records with what the trial ran
(`provenance`).
"""
