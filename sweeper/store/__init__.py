"""What exists: the journal, the tracking store, and one typed table over all sweeps."""
