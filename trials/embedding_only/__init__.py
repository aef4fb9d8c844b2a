"""The kind `embedding_only`: declared in `kind`, done in `run`."""
