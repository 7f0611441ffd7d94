"""The baseline: see its README."""
