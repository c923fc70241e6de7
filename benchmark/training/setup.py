"""What a run needs before it trains: device, data, network, and its method attached to the network."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ...methods.registry import create
from ..api.data import Data
from ..api.errors import DeviceMissing
from ..api.pruner import Pruner
from ..models.count_macs import count_macs
from ..models.count_products import count_products
from ..models.outside import Sizes, count_parameters
from ..runs.run import Run
from ..runs.run_code import Code, CodeReader
from ..runs.run_folder import RunFolder
from ..runs.settings import Settings, check_device_name
from ..runs.store import Store
from . import distributed, memory
from .clock import Clock, clock_for
from .context import make_context
from .networks import Networks, Start
from .precision import check_precisions, set_precision
from .run_data import check_start, origin_of_data, read_data
from .same_data import DataOrigin


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises UserError for an unknown name, DeviceMissing for a missing GPU."""
    check_device_name(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= num_gpus:
            seen = f"{num_gpus} GPU(s)" if num_gpus else "no GPU"
            raise DeviceMissing(f"device {name!r} asked for, but torch sees {seen}")
    return device


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A run that is ready to train.

    Attributes:
        model: what is trained; `pruner` is attached to it.
        sizes: parameters of the network before pruning.
        macs: its multiply-adds by layer; `model_macs` are those of `model`, which a method may have built anew.
        products: multiply-adds of activations with each other, of the network before pruning.
        code: digests of the method's and the network's code.
        clock: has measured the attaching already.
        keeps_freed: whether the process keeps the memory that tensors free.
    """

    run: Run
    study: str
    settings: Settings
    folder: RunFolder
    device: torch.device
    keeps_freed: bool
    data: Data
    origin: DataOrigin
    networks: Networks
    start: Start
    model: nn.Module
    pruner: Pruner
    sizes: Sizes
    macs: Mapping[str, int]
    model_macs: Mapping[str, int]
    products: int
    code: Code
    clock: Clock


def own_device(settings: Settings) -> torch.device:
    """The device of this process, made the current one: calls that name none then reach no other GPU."""
    device = distributed.own_device(choose_device(settings.device))
    if device.type == "cuda":
        # with its number, which `set_device` asks for
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        torch.cuda.set_device(device)
    return device


def prepare(run: Run, study: str, settings: Settings, device: torch.device) -> Setup:
    """Read the data, build the network and attach the method. Raises UserError for what the user can fix."""
    store, clock = Store(settings.results), clock_for(device)
    check_precisions([run.recipe.precision], device)
    set_precision(run.recipe.precision)
    torch.set_num_threads(settings.threads)
    keeps_freed = memory.keep_freed(device)
    memory.reset_peak(device)
    data = read_data(run, settings)
    distributed.check_same_data(data.fingerprint)
    if run.parent is not None:
        check_start(run.parent, study, settings, data)
    networks = Networks(run, data, settings, device)
    original, start = networks.first(store, study)
    context = make_context(
        original, data, recipe=run.recipe, seed=run.seed, device=device, rebuild=networks.rebuild
    )  # fmt: skip
    sizes, products = count_parameters(original), count_products(original, data.input_shape)
    pruner = create(run.method, run.sparsity, dict(run.method_options))
    code = _code_reader().read(run)
    with clock.measure("prune"):
        model = networks.place(pruner.attach(context))
    return Setup(
        run=run, study=study, settings=settings, folder=store.folder(study, run), device=device,
        keeps_freed=keeps_freed, data=data, origin=origin_of_data(data, settings), networks=networks, start=start,
        model=model, pruner=pruner, sizes=sizes, macs=context.macs,
        model_macs=context.macs if model is original else count_macs(model, data.input_shape),
        products=products, code=code, clock=clock,
    )  # fmt: skip


@functools.cache
def _code_reader() -> CodeReader:
    """One for the process: the code that it has loaded is the code that runs, even if the files change."""
    return CodeReader()
