"""Embedding sources, frequency tables, splits and null controls."""
