"""One module per URI scheme: where a matrix comes from."""
