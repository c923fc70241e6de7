"""Networks with one layer of a special kind between ordinary ones, for the inputs of the toy task."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from prunebench.methods.bases.toy_task import NUM_CLASSES
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm


class Middle(nn.Module):
    """Maps sequences (batch, 8, hidden) to the same shape, by layers that a subclass makes; `hidden` is even."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.make(hidden)

    def make(self, hidden: int) -> None:
        self.first = nn.Linear(hidden, hidden)
        self.second = nn.Linear(hidden, hidden)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(sequences)))


class Tied(Middle):
    def make(self, hidden: int) -> None:
        super().make(hidden)
        self.second.weight = self.first.weight


class TiedToEmbedding(Middle):
    """The embedding comes first, so the tensor has its name in the model."""

    def make(self, hidden: int) -> None:
        self.embed = nn.Embedding(hidden, hidden)
        super().make(hidden)
        self.second.weight = self.embed.weight

    def forward(self, sequences: Tensor) -> Tensor:
        return super().forward(sequences) + self.embed(sequences.argmax(dim=2))


class View(Middle):
    """A second parameter that shares the memory of the first."""

    def make(self, hidden: int) -> None:
        super().make(hidden)
        self.second.weight = nn.Parameter(self.first.weight.detach().t())


class WeightNorm(Middle):
    def make(self, hidden: int) -> None:
        super().make(hidden)
        parametrizations.weight_norm(self.second)


class SpectralNorm(Middle):
    def make(self, hidden: int) -> None:
        super().make(hidden)
        parametrizations.spectral_norm(self.second)


class WeightNormHook(Middle):
    def make(self, hidden: int) -> None:
        super().make(hidden)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises to use the parametrisation
            weight_norm(self.second)


class SpectralNormHook(Middle):
    def make(self, hidden: int) -> None:
        super().make(hidden)
        spectral_norm(self.second)


class Empty(Middle):
    def make(self, hidden: int) -> None:
        super().make(hidden)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that it has nothing to initialise
            self.empty = nn.Linear(0, hidden)

    def forward(self, sequences: Tensor) -> Tensor:
        return super().forward(sequences) + self.empty(sequences[..., :0])


class Recurrent(Middle):
    def make(self, hidden: int) -> None:
        self.layer = nn.LSTM(hidden, hidden, num_layers=2, bidirectional=True, proj_size=hidden // 2, batch_first=True)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.layer(sequences)[0]


class Gru(Recurrent):
    def make(self, hidden: int) -> None:
        self.layer = nn.GRU(hidden, hidden, batch_first=True)


class Cell(Middle):
    def make(self, hidden: int) -> None:
        self.cell = nn.LSTMCell(hidden, hidden)

    def forward(self, sequences: Tensor) -> Tensor:
        states = None
        outputs = []
        for step in sequences.unbind(dim=1):
            states = self.cell(step, states)
            outputs.append(states[0])
        return torch.stack(outputs, dim=1)


class Attention(Middle):
    def make(self, hidden: int) -> None:
        self.layer = nn.MultiheadAttention(hidden, 2, batch_first=True, add_bias_kv=True)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.layer(sequences, sequences, sequences, need_weights=False)[0]


class CrossAttention(Middle):
    def make(self, hidden: int) -> None:
        self.layer = nn.MultiheadAttention(hidden, 2, kdim=hidden // 2, vdim=hidden // 2, batch_first=True)

    def forward(self, sequences: Tensor) -> Tensor:
        half = sequences[..., : sequences.shape[2] // 2]
        return self.layer(sequences, half, half)[0]


class Transformer(Middle):
    """In eval mode torch computes the whole layer with one kernel."""

    def make(self, hidden: int) -> None:
        self.layer = nn.TransformerEncoderLayer(hidden, 2, hidden, dropout=0.0, batch_first=True)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.layer(sequences)


class Transposed(Middle):
    def make(self, hidden: int) -> None:
        self.layer = nn.ConvTranspose1d(hidden, hidden, 3, padding=1, groups=2)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.layer(sequences.transpose(1, 2)).transpose(1, 2)


class Bilinear(Middle):
    def make(self, hidden: int) -> None:
        self.layer = nn.Bilinear(hidden, hidden, hidden)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.layer(sequences, sequences)


class Network(nn.Module):
    """Two convolutions, of which the first has filters that can be removed alone, the middle, and a classifier."""

    middle_kind: type[Middle] = Middle

    def __init__(self, width: float = 8) -> None:
        super().__init__()
        hidden = max(2, 2 * round(width / 2))
        self.stem = nn.Conv2d(3, hidden, 3, padding=1)
        self.mix = nn.Conv2d(hidden, 1, 1)
        self.before = nn.Linear(8, hidden)
        self.middle = self.middle_kind(hidden)
        self.head = nn.Linear(hidden, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, 3, 8, 8)."""
        rows = self.mix(torch.relu(self.stem(images))).squeeze(1)
        return self.head(self.middle(torch.relu(self.before(rows))).mean(dim=1))


def network_kind(middle: type[Middle]) -> type[Network]:
    return type(f"{middle.__name__}Network", (Network,), {"middle_kind": middle})


@dataclass(frozen=True)
class Kind:
    """A network, and which methods refuse it, naming `layer`."""

    middle: type[Middle]
    layer: str = ""
    refused_by: Callable[[str], bool] = field(default=lambda method: False)
