"""The registry of pruning methods."""
