"""Tests of methods run tiny networks: more than one thread only makes them wait for each other."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
