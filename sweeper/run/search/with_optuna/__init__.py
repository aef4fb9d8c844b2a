"""What Optuna does for a search; nothing else imports it.

`search` asks and tells, `gaussian_process` is its sampler for small spaces, `quasi_random` begins.
`study` writes what became of a sweep's proposals for other tools, `importance` says which fields
matter, `terms` translates spaces and objectives.
"""

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)  # it logs each study that it makes
