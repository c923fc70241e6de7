"""Results of several machines: records for version control, merging and comparing results folders."""
