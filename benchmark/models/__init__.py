"""Network families of the benchmark, one file each, behind one registry."""
