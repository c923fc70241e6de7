"""Work that a GPU does beside its current stream: the next batch, while it computes on those before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

BATCHES_AHEAD = 2
"""Of those that the GPU computes on: the host may queue steps faster, and each batch takes memory."""


class SideStream:
    """Makes batches on a stream of their own, so that they are copied while the steps before are computed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._begun: deque[torch.Event] = deque()

    def make(self, work: Callable[[], Tensor]) -> Tensor:
        """What `work` makes; the current stream waits for it, the host does not unless it is far ahead."""
        current = torch.cuda.current_stream(self._device)
        self._begun.append(current.record_event())
        if len(self._begun) > BATCHES_AHEAD:
            self._begun.popleft().synchronize()
        with torch.cuda.stream(self._stream):
            made = work()
        current.wait_stream(self._stream)
        # its memory is not used again before the current stream is done with it
        made.record_stream(current)
        return made
