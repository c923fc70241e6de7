"""The SLURM launcher."""
