"""The kind `pretrain`: declared in `kind`, done in `run`."""
