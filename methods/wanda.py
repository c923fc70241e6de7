"""Wanda: weights times the norms of their inputs, compared within an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .bases.calibrated import CalibratedPruner
from .bases.layer_pruner import Layer, Pruned
from .parts.calibration import Statistic


@dataclass(kw_only=True)
class Wanda(CalibratedPruner):
    """Keep the weights of each output with the largest |w| times the L2 norm of its input. Sun et al., 2023.

    arXiv 2306.11695; compared with the authors' code (locuslab/wanda, language models and image classifiers). Weights
    that stay are not moved. The paper's 128 samples are sequences of 2,048 tokens, far more vectors than as many images
    have in a linear layer: 1,024 are the default here. The code removes floor(S n) of the n weights of each output and
    is less sparse than asked; here the total is exact, and the first rows keep one more. It prunes linear layers; a
    convolution is unfolded here, which the paper leaves open, and its N:M groups run along the input channels. It goes
    block by block through the network, here `sequential` goes layer by layer. Its classifiers keep the head dense:
    `dense: [last]`.
    """

    label: ClassVar[str] = "Wanda"
    family: ClassVar[str] = "post-training"
    paper: ClassVar[str] = "arXiv 2306.11695"
    needs: ClassVar[str] = "layer inputs"
    statistic: ClassVar[Statistic] = "norms"

    def prune_layer(self, layer: Layer) -> Pruned:
        return self.keep_in_rows(layer.weight.abs() * layer.statistics.sqrt().unsqueeze(1), layer.kept), None
