"""Descriptions of methods, read from their source without loading torch."""
