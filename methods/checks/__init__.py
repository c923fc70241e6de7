"""The contract of a method, as checks that run in seconds."""
