"""results/reference/croissant.json describes the committed results as they are."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def croissant() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "tools"))
    import croissant

    yield croissant
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return json.loads((REFERENCE / "croissant.json").read_text(encoding="utf-8"))


def test_the_file_is_what_the_tool_makes(croissant: Any) -> None:
    assert (REFERENCE / "croissant.json").read_text(encoding="utf-8") == croissant.made(), "run tools/croissant.py"


def test_every_table_is_there_with_its_digest(plain: dict[str, Any]) -> None:
    files = {each["@id"]: each for each in plain["distribution"] if each["@type"] == "cr:FileObject"}
    tables = [path for name in ("runs.csv", "pairs.csv") for path in REFERENCE.glob(f"*/{name}")]
    assert set(files) == {path.relative_to(REFERENCE).as_posix() for path in tables}
    for place, file in files.items():
        content = (REFERENCE / place).read_bytes()
        assert (file["contentUrl"], file["encodingFormat"]) == (place, "text/csv")
        assert (file["sha256"], file["contentSize"]) == (hashlib.sha256(content).hexdigest(), f"{len(content)} B")


def test_every_field_is_a_column_of_its_file_and_every_column_a_field(plain: dict[str, Any]) -> None:
    num_tables = 0
    for record_set in plain["recordSet"]:
        sources = {field["source"].get("fileObject", {}).get("@id") for field in record_set["field"]}
        if sources == {None}:
            continue
        (place,) = sources
        with (REFERENCE / place).open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file))
        assert [field["source"]["extract"]["column"] for field in record_set["field"]] == columns
        assert all(field["description"] for field in record_set["field"])
        num_tables += 1
    assert num_tables == sum(each["@type"] == "cr:FileObject" for each in plain["distribution"])
    names = [field["@id"] for record_set in plain["recordSet"] for field in record_set["field"]]
    assert len(names) == len(set(names))


def test_types_are_those_of_the_values(plain: dict[str, Any]) -> None:
    """A number in a column of integers, or a word in one of numbers, would not be read."""
    read = {"sc:Integer": int, "sc:Float": float, "sc:Text": str}
    for record_set in plain["recordSet"][:-1]:
        place = record_set["field"][0]["source"]["fileObject"]["@id"]
        with (REFERENCE / place).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for field in record_set["field"]:
                    value = row[field["source"]["extract"]["column"]]
                    assert value == "" or read[field["dataType"]](value) is not None


def test_records_have_what_is_said_of_them(plain: dict[str, Any]) -> None:
    (file_set,) = [each for each in plain["distribution"] if each["@type"] == "cr:FileSet"]
    records = list(REFERENCE.glob(file_set["includes"]))
    assert {path.parent.parent.name for path in records} <= {path.parent.name for path in REFERENCE.glob("*/runs.csv")}
    assert records
    kinds = {"sc:Integer": int, "sc:Float": int | float, "sc:Text": str}
    for path in records[:: max(1, len(records) // 50)]:
        record = json.loads(path.read_text(encoding="utf-8"))
        for field in plain["recordSet"][-1]["field"]:
            value = record
            for key in field["source"]["extract"]["jsonPath"].removeprefix("$.").split("."):
                value = value[key]
            assert isinstance(value, kinds[field["dataType"]]), (path, field["name"])


def test_fields_are_written_on_a_line_each_and_nothing_is_lost(croissant: Any) -> None:
    plain = {"name": "x", "recordSet": [{"field": [{"n": i} for i in range(12)]}, {"field": [{"n": "@field 3"}]}]}
    text = croissant.as_text(plain)
    assert json.loads(text) == plain
    assert '    {"n": 11}\n' in text
