"""How many bytes of tensors are alive: exact and the same everywhere, unlike the memory of a process."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While active: the bytes of all tensors that operators have made and that are not freed, and their peak.

    Tensors from before do not count, nor does the working memory inside an operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        self._see((args, given), is_new=False)
        result = func(*args, **given)
        self._see(result, is_new=True)
        return result

    def _see(self, tree: Any, is_new: bool) -> None:
        for tensor in tree_leaves(tree):
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage._cdata in self._seen:
                continue
            size = storage.nbytes() if is_new else 0
            self._seen.add(storage._cdata)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._let_go, storage._cdata, size)

    def _let_go(self, identity: int, size: int) -> None:
        self._seen.discard(identity)
        self.live -= size
