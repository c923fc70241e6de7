"""Checks of a study before anything runs: does each network take its options, and each method its network?"""
