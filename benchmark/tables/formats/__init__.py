"""Formats of tables as text, one file each."""
