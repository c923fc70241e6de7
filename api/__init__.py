"""What code of your own imports: `from prunebench.api import MaskPruner`. Only names, no code.

Such code is methods, networks and data sets. Where these names are defined may change; their place here does not.
"""

from __future__ import annotations

from ..benchmark.api.data import Data, Split
from ..benchmark.api.errors import DataDamaged, DataMissing, UserError, unknown
from ..benchmark.api.masks import Masks, check_finite, keep_largest, keep_largest_of, num_kept
from ..benchmark.api.pruner import Batch, Context, Pruner, ScoringData
from ..benchmark.api.sites import PRUNABLE_LAYERS, WEIGHTED_LAYERS, Site, find_sites, prunable_names
from ..datasets.parts.in_memory import Arrays, ResidentDataSet
from ..datasets.parts.info import Augmentation, DataSetInfo, Normalisation, Report
from ..methods.bases.borrowed_mask import BorrowedMask
from ..methods.bases.calibrated import CalibratedPruner
from ..methods.bases.dynamic import DynamicPruner
from ..methods.bases.fixed_mask import FixedMask
from ..methods.bases.layer_pruner import Layer, LayerPruner, Pruned
from ..methods.bases.mask_pruner import MaskPruner
from ..methods.bases.score_pruner import ScorePruner
from ..methods.parts.maskable import check_maskable, check_parametrisable
from ..methods.parts.scoring import mean_gradients
from ..methods.parts.straight_through import parametrise

__all__ = [
    "PRUNABLE_LAYERS",
    "WEIGHTED_LAYERS",
    "Arrays",
    "Augmentation",
    "Batch",
    "BorrowedMask",
    "CalibratedPruner",
    "Context",
    "Data",
    "DataDamaged",
    "DataMissing",
    "DataSetInfo",
    "DynamicPruner",
    "FixedMask",
    "Layer",
    "LayerPruner",
    "MaskPruner",
    "Masks",
    "Normalisation",
    "Pruned",
    "Pruner",
    "Report",
    "ResidentDataSet",
    "ScorePruner",
    "ScoringData",
    "Site",
    "Split",
    "UserError",
    "check_finite",
    "check_maskable",
    "check_parametrisable",
    "find_sites",
    "keep_largest",
    "keep_largest_of",
    "mean_gradients",
    "num_kept",
    "parametrise",
    "prunable_names",
    "unknown",
]
