"""The kind `residual`: declared in `kind`, done in `run`."""
