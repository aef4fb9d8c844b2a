"""Journal, database and artifacts held against each other; what can be mended is mended."""
