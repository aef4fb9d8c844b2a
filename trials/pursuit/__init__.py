"""The kind `pursuit`: declared in `kind`, done in `run`."""
