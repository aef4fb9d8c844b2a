"""The kind `row_swap`: declared in `kind`, done in `run`."""
