"""The kind `atom_map`: declared in `kind`, done in `run`."""
