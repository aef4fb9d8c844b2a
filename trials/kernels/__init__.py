"""Numerics: arrays in, arrays and certificates out. No configs, no logging, no devices."""
