"""Pruned networks made physically smaller: what is zero goes, with everything that depends on it."""

from __future__ import annotations

from .architecture import Architecture as Architecture
from .network import Shrunk as Shrunk
from .network import shrink as shrink
from .network import shrunk as shrunk
from .stored import load as load
from .stored import save as save
