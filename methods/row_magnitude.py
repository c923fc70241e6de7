"""Magnitude pruning within each output row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .bases.layer_pruner import Layer, LayerPruner, Pruned


@dataclass(kw_only=True)
class RowMagnitude(LayerPruner):
    """Keep the largest weights of every output, the same number in each. The control of Wanda without its norms.

    An ablation of Sun et al., 2023 (arXiv 2306.11695): magnitude, compared within an output. Where the rows of a layer
    do not divide its weights evenly, the first rows keep one more. In layers of a kind that has no rows of outputs
    (transposed convolutions, matrices of a module's own) the rows are those of the first axis.
    """

    label: ClassVar[str] = "Row-wise MP"
    family: ClassVar[str] = "post-training"
    paper: ClassVar[str] = "control (arXiv 2306.11695)"
    needs: ClassVar[str] = "weights"

    def prune_layer(self, layer: Layer) -> Pruned:
        return self.keep_in_rows(layer.weight.abs(), layer.kept), None
