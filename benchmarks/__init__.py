"""Ratios against named peers, measured in one run and held against one certificate."""
