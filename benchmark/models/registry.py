"""The table of networks, and the one way to build them. Importing this module imports no torch."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import UserError, unknown
from ..api.offers import Offer, Offers
from ..api.option_docs import meanings
from ..api.options import WrongOption, check_arguments, checked
from ..api.plugin_files import parse_source

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, str] = {
    "byte-transformer": "byte_transformer:byte_transformer",
    "convnet-small": "small:convnet_small",
    "convnext-tiny": "of_torchvision:convnext_tiny",
    "deit-s": "vision_transformer:vit_s_16",
    "fastgrnn": "fastgrnn:fastgrnn",
    "lenet-300-100": "lenet:lenet_300_100",
    "lenet-5": "lenet:lenet_5",
    "mobilenet-small": "mobilenet_v2:mobilenet_small",
    "mobilenet-v1": "mobilenet_v1:mobilenet_v1",
    "mobilenet-v2": "mobilenet_v2:mobilenet_v2",
    "preresnet-20": "preresnet:preresnet_20",
    "resnet-8": "resnet_cifar:resnet_8",
    "resnet-18": "resnet:resnet_18",
    "resnet-20": "resnet_cifar:resnet_20",
    "resnet-32": "resnet_cifar:resnet_32",
    "resnet-50": "resnet:resnet_50",
    "resnet-50-cifar": "resnet:resnet_50_cifar",
    "resnet-56": "resnet_cifar:resnet_56",
    "swin-t": "of_torchvision:swin_t",
    "vgg-19-bn": "vgg:vgg_19_bn",
    "vit-b-16": "vision_transformer:vit_b_16",
    "vit-s-16": "vision_transformer:vit_s_16",
    "vit-tiny": "vision_transformer:vit_tiny",
    "wrn-16-8": "wide_resnet:wrn_16_8",
    "wrn-22-8": "wide_resnet:wrn_22_8",
    "wrn-28-2": "wide_resnet:wrn_28_2",
    "wrn-28-8": "wide_resnet:wrn_28_8",
    "wrn-28-10": "wide_resnet:wrn_28_10",
}
"""Name -> "module:function" here; the function takes num_classes, input_shape and the network's options."""

OPTION_MEANINGS: dict[str, str] = {
    "width": "Channels of every layer: in units of the first layer's channels (convnet-small), of the factor k (WRN), "
    "or of the network as published; of byte-transformer their number, rounded to a multiple of the heads.",
    "stem_stride": "Stride of the first convolution.",
    "zero_init_residual": "Start the last batch norm of every block at zero.",
    "shortcut": "Where the width doubles: A pads with zero channels, B is a 1x1 convolution with batch norm.",
    "dropout": "Share of activations that are dropped: between the two convolutions of a block (WRN), or after each "
    "projection and the position embedding (ViT).",
    "hidden": "Size of the state.",
    "rank_w": "Rank of the matrix of the inputs.",
    "rank_u": "Rank of the matrix of the state.",
    "gate": "Nonlinearity of the gate.",
    "update": "Nonlinearity of the candidate state.",
    "depth": "Number of blocks.",
    "heads": "Number of attention heads, which share the width.",
    "tied": "The output layer is the table of the symbols, and no sparsity counts it; false gives it weights of its "
    "own, which are prunable.",
    "patch": "Side of a patch, in pixels.",
    "stochastic_depth": "Probability that the last residual branch is left out for a sample in training; less for "
    "earlier ones.",
    "weights": "Start from a .safetensors, .pth or .pt file (relative to the working folder), or from published "
    "weights by their pinned name, such as IMAGENET1K_V1.",
}
"""What the options of the networks mean: one meaning wherever a name occurs."""

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt")

Builder = Callable[..., "nn.Module"]


OFFERS = Offers("model", MODELS, Path(__file__).resolve().parent, __package__ or "", "prunebench.models")


def add_models(path: str | Path, source: Path, table: Mapping[str, str]) -> None:
    """Register the networks of a plug-in file: names, and the functions that build them.

    Raises UserError for a name that is taken, and for a function that is not one of a network.
    """
    for name, function in table.items():
        OFFERS.check_free(path, name, source)
        _check_builder(name, source, function)
    OFFERS.add(source, table)


def _check_builder(name: str, source: Path, function: str) -> None:
    found = _function(source, function)
    if found is None:
        raise UserError(f"{source}: model {name!r}: there is no function {function!r}")
    place, arguments = f"{source}:{found.lineno}: model {name!r}", found.args
    names = {argument.arg for argument in arguments.kwonlyargs}
    if arguments.args or arguments.posonlyargs or arguments.vararg or not names >= {"num_classes", "input_shape"}:
        raise UserError(f"{place}: {function} must take keywords only: (*, num_classes, input_shape, and its options)")
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg in ("num_classes", "input_shape"):
            continue
        if default is None or argument.annotation is None or argument.arg == "weights":
            raise UserError(
                f"{place}: option {argument.arg!r} needs a type and a default, and a name other than 'weights', "
                "which every network has"
            )


def plugin_files() -> set[Path]:
    """The plug-in files that networks are from."""
    return OFFERS.plugin_files()


def model_names() -> list[str]:
    """Every registered name, sorted."""
    return sorted(OFFERS.all())


def origin(name: str) -> Offer:
    """Where the function of a network is. Raises UserError for an unknown name."""
    return OFFERS.find(name)


def unknown_model(name: str) -> UserError:
    """A name that no table, entry point or plug-in has."""
    return OFFERS.unknown(name)


def model_options(name: str) -> dict[str, Any]:
    """The options of a network with their defaults; imports torch."""
    parameters = inspect.signature(_builder(name)).parameters.values()
    own = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
    return {**own, "weights": None}


def create_model(
    name: str, *, num_classes: int, input_shape: tuple[int, ...], weights: str | None = None, **options: Any
) -> nn.Module:
    """A new network, initialised from torch's global random state.

    Args:
        input_shape: of one example, without the batch: (channels, height, width) for images.
        weights: start from a local .safetensors or .pth file, or from a pinned set such as IMAGENET1K_V1.

    Raises:
        UserError: unknown name or option, a value outside its bounds, or a shape the network cannot take.
        DataMissing: published weights that are not on this machine.
    """
    build = _builder(name)
    _check_options(name, build, {**options, "weights": weights})
    if num_classes < 1:
        raise UserError(f"model {name!r}: num_classes is {num_classes}; it must be at least 1")
    try:
        model = build(num_classes=num_classes, input_shape=tuple(input_shape), **options)
    except (UserError, ValueError) as error:
        raise UserError(f"model {name!r}: {error}") from None
    if weights is not None:
        from .weights import load_weights

        load_weights(model, name, weights)
    return model


def sketch_model(
    name: str,
    *,
    num_classes: int,
    input_shape: tuple[int, ...],
    weights: str | None = None,
    reads_weights: bool = True,
    **options: Any,
) -> nn.Module:
    """The network on the meta device: shapes without values, in milliseconds. Arguments as of `create_model`.

    Raises what `create_model` raises; stored weights are read and compared, unless `reads_weights` is false.
    """
    import torch

    _check_options(name, _builder(name), {"weights": weights})
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = create_model(name, num_classes=num_classes, input_shape=input_shape, **options)
    if weights is not None and reads_weights:
        from .weights import fitting_weights

        fitting_weights(model, name, weights)
    return model


def builder_source(name: str) -> ast.FunctionDef:
    """The syntax tree of the function that builds a network."""
    offer = origin(name)
    found = _function(offer.source, offer.attribute)
    if found is None:
        raise UserError(f"{offer.source}: model {name!r}: there is no function {offer.attribute!r}")
    return found


def _function(source: Path, name: str) -> ast.FunctionDef | None:
    found = (node for node in parse_source(source).body if isinstance(node, ast.FunctionDef) and node.name == name)
    return next(found, None)


def option_meanings(name: str) -> dict[str, str]:
    """What the options of a network mean: of a plug-in its function says it, in a section `Options` or `Args`."""
    return (
        OPTION_MEANINGS if name in MODELS else {**OPTION_MEANINGS, **meanings(ast.get_docstring(builder_source(name)))}
    )


def source_file(name: str) -> Path:
    """The file that a network is built in. Raises UserError for an unknown name."""
    return origin(name).source


def is_weights_file(weights: str) -> bool:
    """Whether the option `weights` is the path of a file, and not the name of published weights."""
    return weights.endswith(WEIGHTS_SUFFIXES)


def _builder(name: str) -> Builder:
    return origin(name).load()


def _check_options(name: str, build: Builder, options: Mapping[str, Any]) -> None:
    """Every option is in the builder's signature, and its value is of the annotated type and bounds."""
    known = model_options(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of model {name!r}", option, known)
    own = dict(options)
    try:
        checked("weights", str | None, own.pop("weights", None))
        check_arguments(build, own)
    except WrongOption as error:
        raise UserError(f"model {name!r}: {error}") from None
