"""The kind `dictionary_match`: declared in `kind`, done in `run`."""
