"""Releases of pruned networks: written from stored runs, and loaded by name from a folder or a URL."""
