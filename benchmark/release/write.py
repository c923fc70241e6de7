"""Write the networks of stored runs as a release: a folder for each, an index and a page that lists them.

DIR/index.json  DIR/README.md
DIR/<name>/model.safetensors  masks.safetensors  result.json  README.md
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...datasets.registry import describe
from .. import __version__
from ..api.errors import UserError
from ..runs.files import FROM_RECORD, check_file, digest_of, write_atomically
from ..runs.run import Run
from ..runs.run_folder import WEIGHTS, RunFolder
from ..runs.store import Store
from ..studies.age import Ages
from ..studies.load import Study
from .card import Described, card
from .index import CARD, INDEX, MASKS, RESULT, File, Network, index_text
from .names import name_of


@dataclass(frozen=True)
class Stored:
    """A run whose network can be released."""

    name: str
    study: str
    label: str
    run: Run
    folder: RunFolder
    result: dict[str, Any]


@dataclass
class Chosen:
    """Networks to release, by name, and the labels of runs that are left out, by reason."""

    networks: dict[str, Stored] = field(default_factory=dict)
    without_weights: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)
    num_missing: int = 0


def choose(studies: Sequence[Study], store: Store) -> Chosen:
    """The stored runs of the studies that kept their weights. Raises UserError for two networks of one name."""
    chosen = Chosen()
    for study in studies:
        ages = Ages(study.name, store)
        for row in study.rows:
            if row.run is None:
                continue
            result = store.result(study.name, row.run)
            folder = store.folder(study.name, row.run)
            if result is None:
                chosen.num_missing += 1
            elif ages.of(row.run, result):
                chosen.older.append(row.label)
            elif result.get(FROM_RECORD) or not folder.model_path.exists():
                chosen.without_weights.append(row.label)
            else:
                name = name_of(row.run, row.label)
                _add(chosen, Stored(name, study.name, row.label, row.run, folder, result))
    return chosen


def _add(chosen: Chosen, found: Stored) -> None:
    first = chosen.networks.setdefault(found.name, found)
    if first.run.id != found.run.id:
        raise UserError(
            f"two networks would have the name {found.name!r}: {first.label!r} of {first.study} ({first.run.id}) and "
            f"{found.label!r} of {found.study} ({found.run.id}); write them to two folders"
        )


def check_new(target: Path) -> None:
    """Raises UserError for a file, a folder that is not empty, and a place that cannot be written."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} is there already; name a new folder for the release")
    above = next(path for path in target.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{target} cannot be made: {above} is {'not writable' if above.is_dir() else 'a file'}")


def write_release(chosen: Chosen, target: Path, licence: str | None) -> int:
    """Write the folder, as a whole or not at all. Returns its bytes.

    Raises UserError as `check_new`, and Damaged for files that are not those of their results.
    """
    check_new(target)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=f".{target.name}.") as temporary:
        made = Path(temporary) / "release"
        _write(chosen, made, licence)
        made.replace(target)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def _write(chosen: Chosen, folder: Path, licence: str | None) -> None:
    networks = {name: _copy(stored, folder / name) for name, stored in sorted(chosen.networks.items())}
    for name, network in networks.items():
        stored = chosen.networks[name]
        info = describe(stored.run.dataset, **dict(stored.run.dataset_options))
        others = [each for each in networks.values() if _row(each) == _row(network) and each["name"] != name]
        text = card(
            Described(network=network, run=stored.run, result=stored.result, data=info, others=others, licence=licence)
        )
        write_atomically(folder / name / CARD, text)
        network["files"][CARD] = _facts(folder / name / CARD)
    write_atomically(folder / CARD, _page(networks.values()))
    write_atomically(folder / INDEX, index_text([*networks.values()], __version__))


def _row(network: Network) -> tuple[str, ...]:
    return tuple(network["name"].split("/")[:-1])


def _copy(stored: Stored, folder: Path) -> Network:
    """Copy weights, masks and result, and say what the index says."""
    folder.mkdir(parents=True)
    for path in (stored.folder.model_path, stored.folder.masks_path):
        facts = stored.result.get("files", {}).get(path.name)
        if facts is not None:
            check_file(path, facts)
        if facts is not None or path.name == WEIGHTS:
            shutil.copyfile(path, folder / path.name)
    write_atomically(folder / RESULT, json.dumps(stored.result, indent=1, allow_nan=False) + "\n")
    files = {name: _facts(folder / name) for name in (RESULT, WEIGHTS, MASKS) if (folder / name).exists()}
    sparsity, accuracy, macs = (stored.result[key] for key in ("sparsity", "accuracy", "macs"))
    return Network(
        name=stored.name, id=stored.run.id, study=stored.study, label=stored.label, method=stored.run.method,
        dataset=stored.run.dataset, model=stored.run.model, seed=stored.run.seed, target_sparsity=stored.run.sparsity,
        sparsity=sparsity["achieved"], kept=sparsity["kept"], prunable=sparsity["prunable"],
        parameters=sparsity["parameters"], accuracy_last=accuracy["last"], accuracy_selected=accuracy["selected"],
        macs_dense=macs["dense"], macs_sparse=macs["sparse"], files=files,
    )  # fmt: skip


def _facts(path: Path) -> File:
    return File(sha256=digest_of(path), bytes=path.stat().st_size)


def _page(networks: Iterable[Network]) -> str:
    lines = [
        "# Pruned networks",
        "",
        f"Written by `prunebench export-zoo`, version {__version__}. Each folder has weights, masks, the result of its "
        f"run and a card; `{INDEX}` has the SHA-256 of every file.",
        "",
        "```python",
        "import prunebench",
        "",
        'model, masks, result = prunebench.load_pruned("NAME", release=FOLDER_OR_URL)',
        "```",
        "",
        "| name | row | sparsity (%) | test accuracy (%) | multiply-adds | bytes |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for each in networks:
        accuracy = "–" if each["accuracy_last"] is None else f"{100 * each['accuracy_last']:.2f}"
        lines.append(
            f"| [{each['name']}]({each['name']}/{CARD}) | {each['label']} | {100 * each['sparsity']:.2f} | {accuracy} "
            f"| {each['macs_sparse']:,.0f} | {each['files'][WEIGHTS]['bytes']:,} |"
        )
    return "\n".join(lines) + "\n"
