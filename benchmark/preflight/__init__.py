"""Checks of a study before anything runs: each network takes its options, and each method its network."""
