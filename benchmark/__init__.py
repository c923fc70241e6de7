"""The suite itself: harness, store, tables and the command line. Importing it imports no torch."""

__version__ = "0.1.0"
