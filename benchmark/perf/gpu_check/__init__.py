"""Is the suite right on this GPU, and how fast? One command, one table, a few minutes."""
