"""The kind `self_pursuit`: declared in `kind`, done in `run`."""
