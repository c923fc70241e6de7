"""FastGRNN with low-rank matrices. Kusupati et al., 2018 (arXiv:1901.02358)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from .fastgrnn_recurrence import Inputs, Nonlinearity, recurrence
from .inputs import sequence_shape

Positive = Annotated[int, Field(ge=1)]


class FastGrnnCell(nn.Module):
    """The recurrence over a whole sequence; gate and candidate share W and U.

        a_t  = x_t W1 W2 + h_(t-1) U1 U2
        z_t  = gate(a_t + bias_gate)
        c_t  = update(a_t + bias_update)
        h_t  = z_t * h_(t-1) + (sigmoid(zeta) * (1 - z_t) + sigmoid(nu)) * c_t

    Row vectors: W1 (inputs, rank_w), W2 (rank_w, hidden), U1 (hidden, rank_u), U2 (rank_u, hidden). Matrices start
    at 0.1 * N(0, 1), biases at 1, zeta at 1 and nu at -4, as in the authors' code.
    """

    prunable_weights: tuple[str, ...] = ("W1", "W2", "U1", "U2")
    low_rank_pairs: ClassVar[tuple[tuple[str, str], ...]] = (("W1", "W2"), ("U1", "U2"))
    """(first, second) factor of each matrix: column j of the first and row j of the second are one rank."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        rank_w: int,
        rank_u: int,
        gate: Nonlinearity = "sigmoid",
        update: Nonlinearity = "tanh",
    ) -> None:
        super().__init__()
        self.gate: Nonlinearity = gate
        self.update: Nonlinearity = update
        self.W1 = nn.Parameter(0.1 * torch.randn(inputs, rank_w))
        self.W2 = nn.Parameter(0.1 * torch.randn(rank_w, hidden))
        self.U1 = nn.Parameter(0.1 * torch.randn(hidden, rank_u))
        self.U2 = nn.Parameter(0.1 * torch.randn(rank_u, hidden))
        self.bias_gate = nn.Parameter(torch.ones(hidden))
        self.bias_update = nn.Parameter(torch.ones(hidden))
        self.zeta = nn.Parameter(torch.tensor(1.0))
        self.nu = nn.Parameter(torch.tensor(-4.0))

    def forward(self, sequences: Tensor) -> Tensor:
        """(batch, time steps, inputs) -> the last hidden state (batch, hidden); the first one is zero."""
        return recurrence(self.recurrence_inputs(sequences), self.gate, self.update)

    def recurrence_inputs(self, sequences: Tensor) -> Inputs:
        """The inputs of all time steps go through W in one product; time becomes the first dimension."""
        driven = sequences.transpose(0, 1).contiguous()
        for factor in _cheapest_factors(self.W1, self.W2):
            driven = driven @ factor
        *first, second = _cheapest_factors(self.U1, self.U2)
        return Inputs(
            driven=driven,
            first=first[0] if first else None,
            second=second,
            bias_gate=self.bias_gate,
            bias_update=self.bias_update,
            zeta=torch.sigmoid(self.zeta),
            nu=torch.sigmoid(self.nu),
            initial=driven.new_zeros(len(sequences), self.U2.shape[1]),
        )

    def macs(self, input_shape: torch.Size) -> dict[str, int]:
        """Each weight is used once a time step of each sequence; `input_shape` is (batch, time steps, inputs)."""
        batch, steps, _ = input_shape
        return {name: batch * steps * getattr(self, name).numel() for name in self.prunable_weights}

    def ranks_in_use(self) -> tuple[int, int]:
        """Ranks of W and U whose column in the first factor and row in the second are not all zero."""
        in_use = []
        for first, second in self.low_rank_pairs:
            has_column = getattr(self, first).ne(0).any(dim=0)
            has_row = getattr(self, second).ne(0).any(dim=1)
            in_use.append(int((has_column & has_row).sum()))
        return in_use[0], in_use[1]


def _cheapest_factors(first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    """Both factors of a matrix, or their product where a vector times it takes no more multiply-adds."""
    is_low_rank = first.numel() + second.numel() < first.shape[0] * second.shape[1]
    return (first, second) if is_low_rank else (first @ second,)


class FastGrnn(nn.Module):
    """The cell over a window, and a linear classifier on its last hidden state."""

    def __init__(self, cell: FastGrnnCell, num_classes: int) -> None:
        super().__init__()
        self.cell = cell
        self.classifier = nn.Linear(cell.bias_gate.numel(), num_classes)
        # N(0, 1) without scaling, as the authors' trainer has it
        nn.init.normal_(self.classifier.weight)
        nn.init.normal_(self.classifier.bias)

    def forward(self, sequences: Tensor) -> Tensor:
        """(batch, time steps, inputs) -> logits (batch, classes)."""
        return self.classifier(self.cell(sequences))


def effective_parameters(model: FastGrnn) -> int:
    """Parameters of the network that is deployed: a rank that a zero column or row makes inert is dropped from both
    factors; everything else counts in full.
    """
    inert = 0
    for (first, second), rank in zip(model.cell.low_rank_pairs, model.cell.ranks_in_use(), strict=True):
        columns, rows = getattr(model.cell, first), getattr(model.cell, second)
        inert += (columns.shape[1] - rank) * (columns.shape[0] + rows.shape[1])
    return sum(parameter.numel() for parameter in model.parameters()) - inert


def fastgrnn(
    *,
    num_classes: int,
    input_shape: tuple[int, ...],
    hidden: Positive = 80,
    rank_w: Positive = 9,
    rank_u: Positive = 80,
    gate: Nonlinearity = "sigmoid",
    update: Nonlinearity = "tanh",
) -> nn.Module:
    """FastGRNN on windows of (time steps, channels). Defaults: the start of Global MP's HAR-2 experiment."""
    _, inputs = sequence_shape(input_shape)
    return FastGrnn(FastGrnnCell(inputs, hidden, rank_w, rank_u, gate, update), num_classes)
