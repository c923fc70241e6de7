"""From groups of results to figures."""
