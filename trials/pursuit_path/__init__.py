"""The kind `pursuit_path`: declared in `kind`, done in `run`."""
