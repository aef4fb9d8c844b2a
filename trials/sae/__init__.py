"""The kind `sae`: declared in `kind`, done in `run`."""
