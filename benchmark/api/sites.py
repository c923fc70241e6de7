"""Which tensors of a network are pruned, by layer, and where each of them is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

PRUNABLE_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Layers whose weight has a row for each output channel and a column for each input channel."""
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED_LAYERS = (*PRUNABLE_LAYERS, *TRANSPOSED_CONVOLUTIONS, nn.Bilinear)
"""Layers with one prunable tensor, called `weight`."""
RECURRENT_LAYERS = (nn.RNNBase, nn.RNNCellBase)
"""torch's RNN, LSTM and GRU, and their cells. Their matrices, and those of attention, are (outputs, inputs)."""

Use = tuple[nn.Module, str]
"""A module and the attribute that holds a tensor."""


@dataclass(frozen=True)
class Site:
    """One prunable weight tensor, addressed so that it is found again after the parameter is replaced.

    `others` are the further places that hold the same tensor: tied weights.
    """

    name: str
    module: nn.Module
    attribute: str = "weight"
    others: tuple[Use, ...] = ()

    @property
    def uses(self) -> tuple[Use, ...]:
        """Every place that holds the tensor, the one that names the site first."""
        return (self.module, self.attribute), *self.others

    @property
    def weight(self) -> Tensor:
        """The tensor itself, shape as the layer stores it."""
        return getattr(self.module, self.attribute)

    @property
    def is_trained(self) -> bool:
        """Whether the weight takes gradients; if it is computed in the forward pass, whether its module is trained."""
        if isinstance(self.weight, nn.Parameter):
            return self.weight.requires_grad
        return any(parameter.requires_grad for parameter in self.module.parameters())

    @property
    def is_depthwise(self) -> bool:
        """A grouped convolution with one input channel a group."""
        groups = getattr(self.module, "groups", 1)
        if isinstance(self.module, TRANSPOSED_CONVOLUTIONS):
            return groups > 1 and self.weight.shape[0] == groups
        return groups > 1 and self.weight.shape[1] == 1


def prunable_names(module: nn.Module) -> tuple[str, ...]:
    """The attributes of a module that hold its prunable tensors; those of its children are not among them."""
    if isinstance(module, WEIGHTED_LAYERS):
        return ("weight",)
    if isinstance(module, nn.RNNBase):
        return tuple(name for name in module._flat_weights_names if name.startswith("weight"))
    if isinstance(module, nn.RNNCellBase):
        return ("weight_ih", "weight_hh")
    if isinstance(module, nn.MultiheadAttention):
        is_packed = module._qkv_same_embed_dim
        return ("in_proj_weight",) if is_packed else ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    return getattr(module, "prunable_weights", ())


def find_sites(model: nn.Module) -> tuple[Site, ...]:
    """The prunable tensors in traversal order, first and last layer included.

    They are the weights of convolutions (transposed ones too), linear and bilinear layers, torch's recurrent layers
    and cells, and the projections of its attention. A module of another kind takes part by naming its prunable tensors
    in an attribute `prunable_weights` (FastGRNN's low-rank factors do). A tensor that is shared counts once, under its
    first name; an empty one is no site.
    """
    found: dict[int, list[tuple[str, nn.Module, str]]] = {}
    # Keeps the tensors alive: a parametrisation may make a new one at each access, and a freed id may be reused.
    held: list[Tensor] = []
    for path, module in model.named_modules():
        for attribute in prunable_names(module):
            tensor = stored_tensor(module, attribute)
            held.append(tensor)
            if tensor.numel():
                found.setdefault(id(tensor), []).append((f"{path}.{attribute}".lstrip("."), module, attribute))
    holders = _other_holders(model, found)
    return tuple(
        Site(places[0][0], *places[0][1:], (*(place[1:] for place in places[1:]), *holders.get(key, ())))
        for key, places in found.items()
    )


def stored_tensor(module: nn.Module, attribute: str) -> Tensor:
    """The tensor that a module stores under a name: behind a parametrisation of one tensor, the one it starts from."""
    if parametrize.is_parametrized(module, attribute):
        parametrisation = module.parametrizations[attribute]  # pyright: ignore
        if isinstance(original := getattr(parametrisation, "original", None), Tensor):
            return original
    return getattr(module, attribute)


def _other_holders(model: nn.Module, found: Mapping[int, Sequence[tuple[str, nn.Module, str]]]) -> dict[int, list[Use]]:
    """Modules that hold a site's tensor and are no layers that are pruned, such as an embedding, by the tensor's id."""
    holders: dict[int, list[Use]] = {}
    for module in model.modules():
        stored = {name: tensor for name, tensor in module._parameters.items() if tensor is not None}
        if parametrize.is_parametrized(module):
            stored |= {name: stored_tensor(module, name) for name in module.parametrizations}  # pyright: ignore
        if isinstance(module, parametrize.ParametrizationList):
            continue
        for name, tensor in stored.items():
            if id(tensor) in found and all(place[1:] != (module, name) for place in found[id(tensor)]):
                holders.setdefault(id(tensor), []).append((module, name))
    return holders
