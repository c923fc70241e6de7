"""Method files to start from, one a shape, and the method of the suite that each is compared with."""

from __future__ import annotations

from string import Template

_HEAD = '''"""$title: what it does, in one line."""

from __future__ import annotations

'''

_ATTRIBUTES = """\
    # Class attributes and defaults of options are literals, each on a line of its own: listings and run ids read them
    # from this file without running it.
    label: ClassVar[str] = "$title"  # its row in tables; no other method may have it
    paper: ClassVar[str] = "where it was published"
"""

_VERSION = """\
    version: ClassVar[int] = 1  # raise it to keep old results beside those of changed code; else `run --recompute`
"""

_CHECK = """\
    # If the method cannot prune every network, or not at every sparsity, override `check(self, context)`: call
    # super().check(context), look at the shapes of context.sites, and raise ValueError with the reason.
"""

_CONTEXT = """\
    # `self.context` (prunebench.api.Context) is there from `attach` on: the network, its prunable layers (`sites`),
    # training samples and the loss for scores, `macs` of each layer, `epochs`, and `generator(purpose)`, random
    # numbers fixed by the run's seed; torch's global ones would make the run irreproducible.
"""

SCORE = Template(
    _HEAD
    + '''from dataclasses import dataclass
from typing import Annotated, ClassVar

from prunebench.api import MaskPruner
from pydantic import Field
from torch import Tensor

METHODS = {"$name": "$class_name"}


@dataclass(kw_only=True)
class $class_name(MaskPruner):
    """Say what is kept, and cite the paper.

    Options:
        exponent: of the magnitude. An example: each field below is an option of the method in study files.
    """

'''
    + _ATTRIBUTES
    + '    needs: ClassVar[str] = "weights"\n'
    + _VERSION
    + """
    exponent: Annotated[float, Field(gt=0)] = 1.0

"""
    + _CONTEXT
    + """\
    # Before the scores of all layers: `prepare_scores(self)`, for gradients (see prunebench.api.mean_gradients).
"""
    + _CHECK
    + '''
    def score(self, name: str, weight: Tensor) -> Tensor:
        """Importance of each weight: finite floats in the shape of `weight`; high is kept."""
        return weight.abs() ** self.exponent
'''
)

GRADUAL = Template(
    _HEAD
    + '''from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from prunebench.api import MaskPruner
from pydantic import Field
from torch import Tensor

METHODS = {"$name": "$class_name"}


@dataclass(kw_only=True)
class $class_name(MaskPruner):
    """Say what is kept and when masks move, and cite the paper.

    Options:
        decay: of the running mean of the saliency. An example: each field below is an option of the method.
    """

'''
    + _ATTRIBUTES
    + '    family: ClassVar[str] = "gradual"\n    needs: ClassVar[str] = "gradients"\n'
    + _VERSION
    + """
    start: Literal["trained", "init"] = "init"
    schedule: Literal["one_shot", "cubic", "exponential"] = "cubic"
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9
    _means: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

"""
    + _CONTEXT
    + """\
    # The hooks of a training, in order: `attach`, `begin_round`, then every step `on_gradients` and `on_weights`,
    # `on_epoch_end`, and `detach`. Call super() in each that you override: MaskPruner prunes in them.
"""
    + _CHECK
    + '''
    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        """Remember the saliency of each step; the masks move here when the schedule says so."""
        for name, site in self.masks.sites.items():
            gradient = site.weight.grad
            if gradient is not None:
                saliency = (site.weight.detach() * gradient).abs()
                self._means[name] = saliency + self.decay * self._means.get(name, torch.zeros_like(saliency))
        return super().on_gradients(step, optimizer)

    def score(self, name: str, weight: Tensor) -> Tensor:
        """Importance of each weight: finite floats in the shape of `weight`; high is kept."""
        return self._means.get(name, weight.abs())

    def state_dict(self) -> dict[str, Any]:
        """What the method remembers between steps: without it a resumed run would differ."""
        return {**super().state_dict(), "means": dict(self._means)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._means = dict(state["means"])
'''
)

DYNAMIC = Template(
    _HEAD
    + '''from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from prunebench.api import DynamicPruner
from pydantic import Field
from torch import Tensor

METHODS = {"$name": "$class_name"}


@dataclass(kw_only=True)
class $class_name(DynamicPruner):
    """Say what is dropped and what is grown, and cite the paper.

    Options:
        noise: share of the growth score that is random. An example: each field below is an option of the method.
    """

'''
    + _ATTRIBUTES
    + '    needs: ClassVar[str] = "dense gradients"\n'
    + _VERSION
    + """
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0

"""
    + _CONTEXT
    + """\
    # The hooks of a training, in order: `attach`, `begin_round` (draws the first masks), then every step
    # `on_gradients` and `on_weights`, `on_epoch_end`, and `detach`. What the method remembers between steps goes into
    # `state_dict`.
"""
    + _CHECK
    + '''
    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        """Drop the smallest weights of each layer and grow as many, every `every` steps."""
        if not self.is_due(step):
            return False
        # random numbers of this update, layer by layer: the same on every device and process
        draw = self.random_draw(f"growth at step {step}")

        def growth(name: str) -> Tensor:
            """Where to grow: finite floats in the shape of the weight; high is grown."""
            return (1 - self.noise) * self.gradient(name).abs() + self.noise * draw(name)

        self.replace(step, growth, optimizer)
        return True  # the update takes the place of the optimiser's step
'''
)

SHAPES = {"score": SCORE, "gradual": GRADUAL, "dynamic": DYNAMIC}
"""How important is a weight? - Masks move with a schedule while the network trains. - Weights are dropped and grown."""

BESIDE = {"score": "global_mp", "gradual": "gmp", "dynamic": "set"}
"""The method of the suite that a new one of this shape is compared with."""
