"""The kind `pursuit_checkpoints`: declared in `kind`, done in `run`."""
