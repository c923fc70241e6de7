"""Attempts at runs, and the worker processes that make them on one machine."""
