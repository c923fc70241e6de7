"""The networks of one run: the one it starts from, and others that its method asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..api.data import Data
from ..api.errors import Damaged
from ..models.registry import create_model
from ..runs.artifacts import load_weights
from ..runs.run import Run, derive_seed
from ..runs.settings import Settings
from ..runs.store import Store
from ..runs.stored_files import digest_of
from . import distributed
from .memory_format import choose_memory_format
from .sync_batch_norm import synchronize


@dataclass(frozen=True)
class Start:
    """The dense training that a run starts from: the SHA-256 of its weights, and what it cost. None without one."""

    digest: str | None = None
    cost: dict[str, Any] | None = None


class Networks:
    """Builds the run's network. `memory_format` is that of the last network that was placed."""

    def __init__(self, run: Run, data: Data, settings: Settings, device: torch.device) -> None:
        self.run, self.data, self.settings, self.device = run, data, settings, device
        self.memory_format = torch.contiguous_format

    def first(self, store: Store, study: str) -> tuple[nn.Module, Start]:
        """The network that is pruned: newly initialised, or with the weights of the dense training."""
        model, start = self._new(), Start()
        if self.run.parent is not None:
            parent = store.folder(study, self.run.parent)
            result = parent.read_result()
            if result is None:
                raise Damaged(parent.result_path, "it is missing")
            facts = result.get("files", {}).get(parent.model_path.name)
            model.load_state_dict(load_weights(parent.model_path, facts))
            digest = facts["sha256"] if facts else digest_of(parent.model_path)
            # The cost is read now: the result may be set aside as damaged before this run ends.
            start = Start(digest, result["cost"])
        return self.place(model), start

    def rebuild(self, **options: Any) -> nn.Module:
        """The same network, newly initialised, with other options."""
        return self.place(self._new(**options))

    def place(self, model: nn.Module) -> nn.Module:
        """On the device, in the memory format of the settings."""
        setting = self.settings.memory_format
        self.memory_format = choose_memory_format(setting, model, self.data.input_shape, self.device)
        model = model.to(self.device)
        return model.to(memory_format=self.memory_format) if self.memory_format is torch.channels_last else model

    def _new(self, **options: Any) -> nn.Module:
        # Every run of a seed starts from the same initialisation, which makes comparisons paired.
        torch.manual_seed(derive_seed(self.run.seed, "init"))
        model = create_model(
            self.run.model,
            num_classes=self.data.num_classes,
            input_shape=self.data.input_shape,
            **{**dict(self.run.model_options), **options},
        )
        return synchronize(model) if self.run.recipe.sync_batch_norm and distributed.is_active() else model
