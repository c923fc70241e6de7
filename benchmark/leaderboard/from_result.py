"""From a stored result or a failed run to a published one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from ...datasets.registry import describe as describe_dataset
from ...datasets.registry import is_of_suite, is_own
from ...methods.listing.describe import MethodInfo
from ..runs.latency_variants import machine_text
from ..runs.run import Run, to_dict
from .schema import (
    Accuracy,
    Cost,
    Data,
    Latency,
    Layer,
    Macs,
    Measured,
    Method,
    Provenance,
    Published,
    Sparsity,
    Training,
)


def method_of(info: MethodInfo, run: Run, source: str = "") -> Method:
    """The description with the version that the run has, which may be an older one."""
    return Method(
        name=info.name, label=info.label, family=info.family, paper=info.paper, needs=info.needs,
        year=info.year,
        start=info.start, version=run.method_version, borrows=info.borrows, reaches_target=info.reaches_target,
        source=source,
    )  # fmt: skip


def measured_of(run: Run, result: Mapping[str, Any], title: str, latency: Iterable[Mapping[str, Any]]) -> Measured:
    """What is shown of a result; `title` names its data, `latency` has the files that belong to its weights."""
    sparsity, cost, macs, provenance = (result[key] for key in ("sparsity", "cost", "macs", "provenance"))
    dense = frozenset(sparsity.get("layers_left_dense", ()))
    parent = cost["parent"]
    return Measured(
        accuracy=_part(Accuracy, result["accuracy"]),
        sparsity=_part(Sparsity, {**sparsity, "parameters": sparsity.get("parameters_before", sparsity["parameters"])}),
        layers=[
            Layer(name=each["name"], total=each["total"], kept=each["kept"], is_dense=each["name"] in dense)
            for each in result["layers"]
        ],
        macs=_part(Macs, macs),
        cost=_part(Cost, {**cost, "parent": parent and _part(Training, parent)}),
        data=_part(Data, {**result["data"], "title": title, "classes": _classes(run, result)}),
        provenance=_part(Provenance, {**provenance, "start_weights": (provenance.get("weights") or {}).get("start")}),
        latency=[times for content in latency for times in _times(content)],
    )


def published(source: str, study: str, label: str, method: Method, run: Run, **outcome: Any) -> Published:
    return Published(
        id=run.id, source=source, study=study, label=label, method=method, run=to_dict(run), **outcome
    )  # fmt: skip


Kind = TypeVar("Kind", bound=BaseModel)


def _part(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Of the values those that the part has; a stored result has more of them."""
    return kind.model_validate({key: values[key] for key in kind.model_fields if key in values})


def _classes(run: Run, result: Mapping[str, Any]) -> int | None:
    """Of data that only the user has, what the result says; older results say nothing."""
    stored = (result["data"].get("facts") or {}).get("num_classes")
    if stored is None and is_of_suite(run.dataset) and not is_own(run.dataset):
        return describe_dataset(run.dataset, **dict(run.dataset_options)).num_classes
    return stored


def _times(content: Mapping[str, Any]) -> Iterable[Latency]:
    variants = content["variants"]
    dense = {each["batch"]: each["p50"] for each in variants.get("dense", {"times": ()})["times"]}
    for name, variant in variants.items():
        for each in variant["times"]:
            yield Latency(
                machine=machine_text(content["machine"]), variant=name, batch=each["batch"], p50=each["p50"],
                dense_p50=dense.get(each["batch"]),
            )  # fmt: skip
