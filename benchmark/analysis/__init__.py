"""Stored results as frames, groups and statistics. Knows no table and no figure."""
