"""The kind `exact_pursuit`: declared in `kind`, done in `run`."""
