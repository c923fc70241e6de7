"""How papers write the names of the networks."""

from __future__ import annotations

from .registry import MODELS

TITLES = {
    "byte": "Byte",
    "convnet": "ConvNet",
    "convnext": "ConvNeXt",
    "deit": "DeiT",
    "fastgrnn": "FastGRNN",
    "lenet": "LeNet",
    "mobilenet": "MobileNet",
    "preresnet": "PreResNet",
    "resnet": "ResNet",
    "swin": "Swin",
    "vgg": "VGG",
    "vit": "ViT",
    "wrn": "WRN",
}
"""How papers write the first part of a name; the rest is kept."""
WHOLE_TITLES = {"deit-s": "DeiT-S", "swin-t": "Swin-T", "vit-b-16": "ViT-B/16", "vit-s-16": "ViT-S/16"}


def model_title(name: str) -> str:
    """`ResNet-20` for `resnet-20`, for tables and figures; a name that is not in TITLES, or of a plug-in, is kept."""
    if name in WHOLE_TITLES:
        return WHOLE_TITLES[name]
    if name not in MODELS:
        return name
    family, dash, rest = name.partition("-")
    for part, written in (("bn", "BN"), ("v1", "V1"), ("v2", "V2")):
        rest = rest.replace(part, written) if family in ("mobilenet", "vgg") else rest
    return f"{TITLES.get(family, family)}{dash}{rest}"
