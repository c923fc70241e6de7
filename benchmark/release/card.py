"""The card of a released network: Markdown with its numbers, and the YAML at the top that model hubs read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

import yaml

from ...datasets.parts.info import DataSetInfo
from ...methods.registry import describe
from ..runs.run import Run, to_dict
from .index import Network


@dataclass(frozen=True, kw_only=True)
class Described:
    """All that a card tells of. `others`: networks of the same row in the release, with other seeds."""

    network: Network
    run: Run
    result: Mapping[str, Any]
    data: DataSetInfo
    others: Sequence[Network]
    licence: str | None


def card(about: Described) -> str:
    """The whole text."""
    network = about.network
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(about), sort_keys=False, allow_unicode=True)}---",
        f"# {network['name']}",
        f"{_what(about)} Loaded with its masks by\n\n```python\nimport prunebench\n\n"
        f'model, masks, result = prunebench.load_pruned("{network["name"]}", release=FOLDER_OR_URL)\n```',
        "## Numbers\n\n" + _table(_numbers(about)),
        "## Recipe\n\n```yaml\n" + yaml.safe_dump(_recipe(about.run), sort_keys=False, allow_unicode=True) + "```",
        "## How it was made\n\n" + _bullets(_origin(about)),
        "## Limits\n\n" + _bullets(_limits(about)),
    ]
    return "\n\n".join(parts) + "\n"


def _what(about: Described) -> str:
    network = about.network
    shape = " x ".join(map(str, about.data.input_shape))
    how = "dense, not pruned" if about.run.is_dense else f"pruned by {network['label']}"
    return (
        f"`{network['model']}`, {how}, trained on {about.data.title} ({shape}, {about.data.num_classes} classes) by "
        f"the study `{network['study']}` of prunebench."
    )


def _front_matter(about: Described) -> dict[str, Any]:
    network, run = about.network, about.run
    task = {"type": "image-classification", "name": "Image classification"}
    if len(about.data.input_shape) != 3:
        task = {"type": "other", "name": "Classification"}
    metrics = [{"type": "accuracy", "name": "Test accuracy, last epoch", "value": network["accuracy_last"]}]
    data = {"type": run.dataset, "name": about.data.title, "split": "test"}
    return {
        **({"license": about.licence} if about.licence else {}),
        "library_name": "prunebench",
        **({"pipeline_tag": task["type"]} if task["type"] != "other" else {}),
        "tags": ["safetensors", *([] if run.is_dense else ["pruning", "sparsity"]), run.method, run.model],
        "model-index": [{"name": network["name"], "results": [{"task": task, "dataset": data, "metrics": metrics}]}],
    }


def _numbers(about: Described) -> Iterator[tuple[str, str]]:
    network, accuracy = about.network, about.result["accuracy"]
    cost, macs = about.result["cost"], about.result["macs"]
    yield "Test accuracy, last epoch", _percent(accuracy["last"])
    yield "Test accuracy, epoch chosen on validation", _percent(accuracy["selected"])
    if about.run.parent is not None:
        yield "Test accuracy of the dense network before", _percent(accuracy["before"])
    values = [each["accuracy_last"] for each in (network, *about.others) if each["accuracy_last"] is not None]
    if len(values) > 1:
        yield (
            f"Last epoch, mean ± deviation of {len(values)} seeds here",
            (f"{100 * mean(values):.2f} ± {100 * stdev(values):.2f} %"),
        )
    yield "Sparsity", f"{_percent(network['sparsity'])} (asked for: {100 * network['target_sparsity']:g} %)"
    yield "Weights kept", f"{network['kept']:,} of {network['prunable']:,} that sparsity counts"
    yield "Parameters, zeros included", f"{network['parameters']:,}"
    yield "Multiply-adds for one input", f"{macs['sparse']:,.0f} of {macs['dense']:,.0f}"
    yield "Epochs", f"{cost['epochs']}, and {cost['parent']['epochs'] if cost['parent'] else 0} of the dense training"
    yield "Seed", str(network["seed"])


def _recipe(run: Run) -> dict[str, Any]:
    """The run as its id is made of, with all values of its recipes."""
    plain = {**to_dict(run), "recipe": _plain(asdict(run.recipe))}
    if run.parent is not None:
        plain["parent"] = _recipe(run.parent)
    return plain


def _plain(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in recipe.items()}


def _origin(about: Described) -> Iterator[str]:
    made, network = about.result["provenance"], about.network
    packages = ", ".join(f"{name} {version}" for name, version in made.get("packages", {}).items())
    yield f"Run `{network['id']}` of the study `{network['study']}`; the id is a hash of what determines the run."
    yield (
        f"prunebench {made.get('prunebench', 'of an unknown version')}, revision {made['revision'] or 'unknown'}; "
        f"Python {made.get('python', 'unknown')}, {packages}."
    )
    yield f"Computed on {made['device_name'] or 'an unknown device'}."
    data = about.result["data"]
    yield (
        f"{data['train']:,} training, {data['validation']:,} validation and {data['test']:,} test samples; "
        f"fingerprint of the data `{data['fingerprint'][:12]}`."
    )
    source = describe(about.run.method).paper
    if source and not about.run.is_dense:
        yield f"Method: {source}."
    yield f"Data: {about.data.source}. Their licence: {about.data.licence}."
    yield "`result.json` has all that the run recorded: layers, costs, versions, command, host, and paths."


def _limits(about: Described) -> Iterator[str]:
    network, empty = about.network, about.result["sparsity"]["empty_layers"]
    yield "One training with one seed. A difference to another network of one seed says little about their methods."
    yield f"Made to compare methods on {about.data.title}, not to be used on other data."
    yield "No test sample chose anything; the accuracy of the last epoch is the one that counts."
    if not about.run.is_dense:
        yield (
            "Zeros are stored, so the file is as large as that of the dense network, and hardware that multiplies "
            "by zeros takes as long."
        )
    if not describe(about.run.method).reaches_target:
        yield f"The method chooses its sparsity itself: {_percent(network['sparsity'])}."
    elif abs(network["sparsity"] - network["target_sparsity"]) > 0.001:
        yield f"Layers that the method leaves dense count too: {_percent(network['sparsity'])} of all weights are zero."
    if empty:
        yield f"Collapsed: no weight is left in {', '.join(f'`{name}`' for name in empty)}."
    if about.licence is None:
        yield "No licence is named for these weights."


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.2f} %"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| what | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)
