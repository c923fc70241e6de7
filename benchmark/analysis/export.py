"""Results as one tidy file for other programs: a row for each run, columns with a documented meaning and a version."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from ..api.errors import DataMissing, UserError, unknown
from .csv_text import harmless, original
from .frame_type import Frame

EXPORT_SCHEMA = 9
"""Version of the columns, in every row of the file."""

ADDED: dict[int, tuple[str, ...]] = {
    2: ("processes",),
    3: ("outside", "code", "outdated", "data"),
    4: ("changed_since_submission",),
    5: ("retrain_seed",),
    6: ("macs_products",),
    7: ("fault", "accuracy_last5", "selection_effect", "start_weights", "macs_share", "train_macs_scoring"),
    8: ("explored",),
    9: ("bits_before", "bits_pruned", "bits_last", "bits_selected"),
}
"""Columns that a version added; they are missing in files of older versions. Files of newer ones are refused.

Columns of measured latency (latency_columns.py) are only in files of studies that have some, whatever the version.
"""

FORMATS = ("csv", "parquet")

TEXTS = frozenset(
    ("study", "id", "label", "method", "options", "dataset", "model", "parent", "state", "reason", "fault",
     "outside", "start_weights",
     "device", "host", "revision", "code", "outdated", "data", "id_a", "id_b", "latency_machine")
)  # fmt: skip
INTEGERS = frozenset(
    ("seed", "retrain_seed", "kept", "prunable", "parameters", "empty_layers", "macs_dense", "macs_products", "epochs",
     "epochs_total", "processes", "peak_memory_bytes", "changed_since_submission", "retrain_seed_a", "retrain_seed_b",
     "same_mask", "lmc_position", "cka_samples", "latency_batch")
)  # fmt: skip
"""Columns of text and of integers; all others are floats."""


def export_frame(frame: Frame) -> Frame:
    """The frame with its version as first column, and columns of one type that may hold missing values."""
    typed = {name: _type(name) for name in frame.columns}
    made = frame.astype(typed)
    made.insert(0, "schema", EXPORT_SCHEMA)
    return made


def _type(column: str) -> str:
    return "string" if column in TEXTS else "Int64" if column in INTEGERS else "Float64"


def describe_columns(columns: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(Name, type, meaning) of every column of an export, from the meanings of a frame's columns."""
    types = {"string": "text", "Int64": "integer", "Float64": "number"}
    rows = [(name, types[_type(name)], meaning) for name, meaning in columns.items()]
    return [("schema", "integer", f"version of these columns, {EXPORT_SCHEMA}"), *rows]


def export_bytes(frame: Frame, format: str) -> bytes:
    """The file as bytes. Raises UserError for an unknown format, DataMissing if it needs a missing package."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    made = export_frame(frame)
    if format == "csv":
        for name in TEXTS & set(made.columns):
            made[name] = made[name].map(harmless, na_action="ignore").astype("string")
        return made.to_csv(index=False, lineterminator="\n").encode()
    _need_pyarrow()
    buffer = BytesIO()
    made.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _need_pyarrow() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise DataMissing("format 'parquet' needs the package pyarrow: pip install pyarrow (csv needs nothing)")


def read_export(path: Path) -> Frame:
    """An exported file as a frame of this version's columns.

    Raises UserError for an unknown version, and for a file that is no export.
    """
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            _need_pyarrow()
            made = pd.read_parquet(path)
        else:
            # without this, pandas reads an empty reason or a label such as "NA" as missing
            made = pd.read_csv(path, dtype="string", keep_default_na=False, na_values={})
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if "schema" not in made.columns:
        raise UserError(f"{path} is no export of prunebench: it has no column 'schema'")
    found = sorted(set(made["schema"].astype(str)), key=lambda version: (len(version), version))
    if len(found) > 1 or not set(found) <= {str(version) for version in range(1, EXPORT_SCHEMA + 1)}:
        raise UserError(f"{path} has export format {', '.join(found)}, this version reads 1 to {EXPORT_SCHEMA}")
    rest = made.drop(columns="schema")
    rest = rest.apply(_parse) if path.suffix != ".parquet" else rest
    return _brought_up_to_date(rest, int(found[0]) if found else EXPORT_SCHEMA)


def _brought_up_to_date(frame: Frame, version: int) -> Frame:
    """With the columns that later versions added, which are missing in every row, in this version's order."""
    import pandas as pd

    from .frame import COLUMNS
    from .latency_columns import RUN_LATENCY

    for later in range(version + 1, EXPORT_SCHEMA + 1):
        for name in ADDED[later]:
            frame[name] = pd.array([pd.NA] * len(frame), dtype=_type(name))
    return frame[[name for name in (*COLUMNS, *RUN_LATENCY) if name in frame]]


def _parse(column: Frame) -> Frame:
    """A column of a CSV in its type; an empty cell is missing."""
    kind = _type(str(column.name))
    known = column.where(column != "")
    return (
        known.map(original, na_action="ignore").astype("string")
        if kind == "string"
        else known.astype("Float64").astype(kind)
    )
