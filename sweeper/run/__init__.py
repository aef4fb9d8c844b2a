"""Making it exist: plan, search, execute, and the two runners."""
