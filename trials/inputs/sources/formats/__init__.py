"""Embedding matrices and vocabularies out of bytes, one module per file format."""
