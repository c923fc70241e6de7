"""Results that travel: records, merging of results folders."""
