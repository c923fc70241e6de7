"""Published numbers, with their source."""
