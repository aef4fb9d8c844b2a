"""The kind `circles`: declared in `kind`, done in `run`."""
