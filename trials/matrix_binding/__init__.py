"""The kind `matrix_binding`: declared in `kind`, done in `run`."""
