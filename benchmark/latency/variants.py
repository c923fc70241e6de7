"""The variants of a stored run, and why it lacks the others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..api.data import Data
from ..api.errors import UserError
from ..runs.latency_variants import NOT_PRUNED, PRUNED
from ..shrink import Shrunk
from ..shrink.onnx_file import OnnxFile, onnx_file
from . import int8
from .csr import put_csr, sparse_linears
from .onnx_session import open_session, why_no_onnx
from .semi_structured import NO_GPU, put_two_of_four, why_not
from .sizes import file_bytes, packed_bytes
from .variant import HALF_ROUNDING, Variant, onnx_variant, torch_variant


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A stored network and what it is measured with.

    Attributes:
        dense: the network before pruning.
        pruned: the stored network, its zeros stored; None for a dense training.
        shrink: makes the smaller network; raises UserError where it cannot.
    """

    dense: nn.Module
    pruned: nn.Module | None
    shrink: Callable[[], Shrunk]
    data: Data
    device: torch.device
    threads: int


class NotAvailable(Exception):
    """The network has no such variant; the message says why."""


@dataclass
class Found:
    """What the variants of a run are collected in, in the order in which they are measured."""

    subject: Subject
    asked: Collection[str]
    variants: dict[str, Variant] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, make: Callable[[], Variant], reason: str = "") -> None:
        """Make a variant that is asked for; a `reason` leaves it out."""
        if name not in self.asked:
            return
        if not reason:
            try:
                self.variants[name] = make()
                return
            except NotAvailable as error:
                reason = str(error)
        self.left_out[name] = reason


def find_variants(subject: Subject, asked: Collection[str]) -> Found:
    """Those of `asked` that the network has on this machine, and a reason for each of the others."""
    found = Found(subject, asked)
    if subject.pruned is None:
        _add_dense(found)
    else:
        _add_pruned(found, subject.pruned)
    return found


def _add_dense(found: Found) -> None:
    subject, device = found.subject, found.subject.device
    found.add("dense", lambda: _torch("dense", subject.dense, device))
    found.add("dense-half", lambda: _half("dense-half", subject.dense, device, "dense"), _no_half(device))
    packages = why_no_onnx()
    onnx = _exporter(subject)
    found.add("dense-onnx", lambda: _onnx("dense-onnx", onnx(subject.dense), subject, "dense"), packages)
    found.add("int8-onnx", lambda: _int8(onnx(subject.dense), subject), packages)
    for name in found.asked:
        if name not in found.variants:
            found.left_out.setdefault(name, NOT_PRUNED)


def _add_pruned(found: Found, pruned: nn.Module) -> None:
    subject, device = found.subject, found.subject.device
    onnx, shrunk = _exporter(subject), functools.cache(functools.partial(_shrink, subject))
    found.add("dense", lambda: _torch("dense", subject.dense, device))
    found.add("masked", lambda: _torch("masked", pruned, device))
    found.add("shrunk", lambda: _torch("shrunk", shrunk(), device, reference="masked"))
    csr = "" if sparse_linears(pruned) else "no linear layer has zeros"
    if device.type != "cpu":
        csr = "the sparse products are those of a CPU"
    found.add("csr", lambda: _torch("csr", pruned, device, reference="masked", change=put_csr), csr)
    two_of_four = why_not(pruned, device)
    found.add("dense-half", lambda: _half("dense-half", subject.dense, device, "dense"), two_of_four)
    found.add("2:4-half", lambda: _half("2:4-half", pruned, device, "masked", put_two_of_four), two_of_four)
    packages = why_no_onnx()
    found.add("dense-onnx", lambda: _onnx("dense-onnx", onnx(subject.dense), subject, "dense"), packages)
    found.add("masked-onnx", lambda: _onnx("masked-onnx", onnx(pruned), subject, "masked", pruned), packages)
    found.add("shrunk-onnx", lambda: _onnx("shrunk-onnx", onnx(shrunk()), subject, "masked", shrunk()), packages)
    found.add("int8-onnx", lambda: _int8(onnx(subject.dense), subject), PRUNED)


def _torch(
    name: str,
    model: nn.Module,
    device: torch.device,
    *,
    reference: str | None = None,
    change: Callable[[nn.Module], nn.Module] = lambda model: model,
) -> Variant:
    sizes: dict[str, Any] = {"file_bytes": file_bytes(model), "packed_bytes": packed_bytes(model)}
    return torch_variant(name, model, device, change=change, reference=reference, **sizes)


def _half(
    name: str,
    model: nn.Module,
    device: torch.device,
    reference: str,
    change: Callable[[nn.Module], nn.Module] = nn.Module.half,
) -> Variant:
    return torch_variant(
        name, model, device, change=change, dtype=torch.float16, reference=reference, tolerance=HALF_ROUNDING,
        file_bytes=file_bytes(model),
    )  # fmt: skip


def _onnx(name: str, onnx: OnnxFile, subject: Subject, reference: str, model: nn.Module | None = None) -> Variant:
    packed = None if model is None else packed_bytes(model)
    return onnx_variant(name, onnx, subject.threads, reference=reference, packed_bytes=packed)


def _int8(onnx: OnnxFile, subject: Subject) -> Variant:
    if onnx.batch is not None:
        raise NotAvailable("its ONNX file takes one input at a time, and calibration takes batches")
    content = int8.quantize(onnx.content, subject.data)
    accuracy = int8.accuracy(open_session(content, subject.threads), subject.data)
    return onnx_variant("int8-onnx", OnnxFile(content, None), subject.threads, accuracy=accuracy)


def _no_half(device: torch.device) -> str:
    return "" if device.type == "cuda" else NO_GPU


def _exporter(subject: Subject) -> Callable[[nn.Module], OnnxFile]:
    """Exports each network once."""
    return functools.cache(functools.partial(_export, subject))


def _export(subject: Subject, model: nn.Module) -> OnnxFile:
    try:
        return onnx_file(model, subject.data.input_shape)
    except UserError as error:
        raise NotAvailable(str(error)) from error


def _shrink(subject: Subject) -> nn.Module:
    try:
        done = subject.shrink()
    except UserError as error:
        raise NotAvailable(str(error)) from error
    if not done.removed:
        raise NotAvailable("no channel or rank of the network is empty")
    return done.network
