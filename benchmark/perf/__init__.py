"""Measurements of speed and memory, as ratios side by side in one run. Not part of the tests."""
