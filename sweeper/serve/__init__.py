"""The tracking server, and sending sweeps to a cluster."""
