"""What a method says about itself, read from its source without loading torch."""
