"""Speeds of training on common devices, for `plan --device-name`. Each says where it is from; none is a guess."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.errors import unknown

_RESNET_50, _RESNET_20 = 4_089_184_256, 40_551_040
"""Multiply-adds of a forward pass, as in the shipped table."""

_NVIDIA = (
    "ResNet-50 on ImageNet, NVIDIA DeepLearningExamples (291f0d0), "
    "PyTorch/Classification/ConvNets/resnet50v1.5/README.md"
)
_OURS = "ResNet-50 on images that are decoded already, steps without a CUDA graph, docs/gpu-H200.md"


@dataclass(frozen=True)
class Device:
    """Images a second in training of a network with `macs` multiply-adds a forward pass, and who measured it."""

    images_per_second: float
    macs: int
    source: str

    @property
    def macs_per_second(self) -> float:
        """Multiply-adds of training a second: three forward passes an image."""
        return 3 * self.macs * self.images_per_second


DEVICES = {
    "a100-mixed": Device(2470, _RESNET_50, f"one A100, mixed precision, {_NVIDIA}"),
    "a100-tf32": Device(938, _RESNET_50, f"one A100, TF32, {_NVIDIA}"),
    # no figure of an H100: what is published are whole trainings on many cards, and an H200 has faster memory
    "h200-bfloat16": Device(4153, _RESNET_50, f"one H200, bfloat16, {_OURS}"),
    "h200-tf32": Device(2889, _RESNET_50, f"one H200, TF32, {_OURS}"),
    "h200-float32": Device(912, _RESNET_50, f"one H200, float32, {_OURS}"),
    "v100-float32": Device(367, _RESNET_50, f"one V100 16 GB, float32, {_NVIDIA}"),
    "v100-mixed": Device(1200, _RESNET_50, f"one V100 16 GB, mixed precision, {_NVIDIA}"),
    "xeon-core": Device(424, _RESNET_20, "ResNet-20 on CIFAR-10, one core of an Intel Xeon with AVX-512, docs/race.md"),
}
"""Large networks keep a device busy; small ones reach a fraction of these speeds: `--calibrate` measures."""


def find_device(name: str) -> Device:
    """Raises UserError for a name that is not in the table."""
    if name not in DEVICES:
        raise unknown("device", name, DEVICES, "--calibrate measures this machine, --throughput takes images a second")
    return DEVICES[name]
