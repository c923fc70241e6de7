"""From groups of results to tables."""
