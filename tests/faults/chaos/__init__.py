"""What the fault tests are made of: real processes, real signals, real servers."""
