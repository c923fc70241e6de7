"""Renew results/reference/croissant.json: the committed results described as a data set, in the Croissant format.

    python tools/croissant.py            rewrite the file
    python tools/croissant.py --check    exit 1 if it is old

Croissant (MLCommons, version 1.0) is JSON-LD: which files there are with their SHA-256, and what each column means.
`reference.py` renews it with every folder. Paths are relative to results/reference.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prunebench.benchmark.analysis.export import describe_columns
from prunebench.benchmark.analysis.frame import COLUMNS
from prunebench.benchmark.analysis.pair_frame import PAIR_COLUMNS
from prunebench.benchmark.runs.files import digest_of, write_atomically

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results" / "reference"
NAME = "croissant.json"

TABLES = {"runs.csv": COLUMNS, "pairs.csv": PAIR_COLUMNS}
"""The tidy files of a study, and the meanings of their columns."""

TYPES = {"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float"}

IN_RECORDS = {
    "id": ("$.result.id", "text", "run id"),
    "study": ("$.result.study", "text", "study that computed it"),
    "dataset": ("$.result.run.dataset", "text", "data set"),
    "model": ("$.result.run.model", "text", "network"),
    "method": ("$.result.run.method", "text", "registered name of the method"),
    "seed": ("$.result.run.seed", "integer", "seed of the run"),
    "sparsity": ("$.result.sparsity.achieved", "number", "sparsity reached, fraction of all prunable weights"),
    "accuracy_last": ("$.result.accuracy.last", "number", "test accuracy of the last epoch"),
    "macs_sparse": ("$.result.macs.sparse", "number", "multiply-adds weighted by layer density"),
}
"""What every record has, by its JSON path. Records hold more: layers, epochs, costs and provenance."""

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of Croissant 1.0."""


def described(reference: Path, citation: Mapping[str, Any]) -> dict[str, Any]:
    """The description of the folders of studies below `reference`; title, version and licence are the citation's."""
    tables = [path for path in sorted(reference.glob("*/*.csv")) if path.name in TABLES]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "prunebench-results",
        "description": "Results of neural-network pruning: accuracy, sparsity, multiply-adds and cost of every run of "
        f"the studies {', '.join(sorted({path.parent.name for path in tables}))}, computed by prunebench.",
        "version": citation["version"],
        "datePublished": citation["date-released"],
        "license": f"https://spdx.org/licenses/{citation['license']}",
        "creator": [{"@type": "sc:Organization", "name": author["name"]} for author in citation["authors"]],
        "keywords": citation["keywords"],
        "citeAs": f"{citation['authors'][0]['name']}. {citation['title']}. Version {citation['version']}, "
        f"{citation['date-released'][:4]}.",
        "distribution": [*map(_file, tables), RECORDS],
        "recordSet": [*map(_record_set, tables), _records()],
    }


def _file(path: Path) -> dict[str, Any]:
    place = f"{path.parent.name}/{path.name}"
    return {
        "@type": "cr:FileObject", "@id": place, "name": place, "contentUrl": place, "encodingFormat": "text/csv",
        "contentSize": f"{path.stat().st_size} B", "sha256": digest_of(path),
    }  # fmt: skip


RECORDS = {
    "@type": "cr:FileSet", "@id": "records", "name": "records", "description": "A file for each run.",
    "encodingFormat": "application/json", "includes": "*/runs/*.json",
}  # fmt: skip


def _record_set(path: Path) -> dict[str, Any]:
    """The columns that the file has, which may be fewer than those of now."""
    place, name = f"{path.parent.name}/{path.name}", f"{path.parent.name}-{path.stem}"
    with path.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    known = {column: (kind, meaning) for column, kind, meaning in describe_columns(TABLES[path.name])}
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name,
        "description": f"A row for each {path.stem.removesuffix('s')} of the study {path.parent.name}.",
        "field": [
            _field(name, column, *known[column], {"fileObject": {"@id": place}, "extract": {"column": column}})
            for column in columns
        ],
    }  # fmt: skip


def _records() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet", "@id": "all-records", "name": "all-records",
        "description": "Of each record, what identifies the run and its main numbers.",
        "field": [
            _field("all-records", name, kind, meaning, {"fileSet": {"@id": "records"}, "extract": {"jsonPath": path}})
            for name, (path, kind, meaning) in IN_RECORDS.items()
        ],
    }  # fmt: skip


def _field(record_set: str, name: str, kind: str, meaning: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field", "@id": f"{record_set}/{name}", "name": name, "description": meaning,
        "dataType": TYPES[kind], "source": source,
    }  # fmt: skip


def as_text(plain: Mapping[str, Any]) -> str:
    """Indented JSON with a line for each field, of which there are hundreds."""
    fields = [field for each in plain["recordSet"] for field in each["field"]]
    numbers: Iterator[int] = iter(range(len(fields)))
    short = [{**each, "field": [f"@field {next(numbers)}" for _ in each["field"]]} for each in plain["recordSet"]]
    text = json.dumps({**plain, "recordSet": short}, indent=1, ensure_ascii=False)
    for number, field in enumerate(fields):
        text = text.replace(f'"@field {number}"', json.dumps(field, ensure_ascii=False), 1)
    return text + "\n"


def made() -> str:
    """What the file has to be."""
    return as_text(described(REFERENCE, yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))))


def renew() -> None:
    """Write the file."""
    write_atomically(REFERENCE / NAME, made())


def main() -> None:
    path = REFERENCE / NAME
    if "--check" in sys.argv:
        is_new = path.exists() and path.read_text(encoding="utf-8") == made()
        sys.exit(0 if is_new else f"{path.relative_to(ROOT)} is old; run tools/croissant.py")
    renew()


if __name__ == "__main__":
    main()
