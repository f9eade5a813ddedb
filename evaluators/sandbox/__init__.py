"""Sealed execution of heuristics that nobody has read."""
