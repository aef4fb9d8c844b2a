"""Matrices without structure, and with planted structure."""
