"""What Optuna does for a search; nothing else imports it.

`search` asks and tells, `gaussian_process` is its sampler for small spaces, `study` writes what
became of a sweep's proposals for other tools, `terms` translates spaces and objectives.
"""
