"""Searches for the values of methods: what trials reached on validation, what was chosen, and what comes next."""
