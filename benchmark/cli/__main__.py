"""`python -m prunebench.benchmark.cli`, the same as the console script."""

from . import main

main()
