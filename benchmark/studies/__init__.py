"""From a study file to its runs, to what is left to compute, and to what that costs."""
