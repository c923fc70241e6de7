"""Fixtures of this room."""

from released import computed, mirror, release

__all__ = ["computed", "mirror", "release"]
