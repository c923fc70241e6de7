"""The report: one HTML page that works without a network."""
