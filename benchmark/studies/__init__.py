"""Study files that ship with the suite."""
