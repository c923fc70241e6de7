"""Stored results as a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...datasets.parts.roots import data_root as root_of_data
from ...datasets.parts.roots import reading_from
from ..analysis.frame_type import Frame
from ..runs.plugins import add_plugin
from ..runs.store import Store
from ..studies.load import load_study


def load_results(
    study: str | Path,
    *,
    results: str | Path = "results",
    data_root: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
) -> Frame:
    """The results of a study, or of everything in a folder, as a pandas DataFrame with a row for each run.

    The columns are those of `prunebench export` (docs/python.md lists them): accuracies and sparsities are fractions,
    times seconds, memory bytes, and multiply-adds are for one input, but for those of a training. A number that is not
    there is `pandas.NA`; `state` is "done" where there is a result.

    Args:
        study: the name of a study of the suite or the path of its file: then rows of runs that are missing are there
            too. Or a folder: a results folder, or that of one study in it.
        results: the results folder, for a study.
        data_root: where data sets are, for a study of data of one's own.
        set: values to change in the study file, by key: {"train.epochs": 3}.
        only: only these runs of the study, such as ["method=snip", "seed=0"].
        plugins: files with methods, models or data sets of one's own; a study names its own ones.

    Raises:
        UserError: an unknown study, a wrong value, or a folder without runs.
    """
    # pandas takes longer to load than all the rest
    from ..analysis.export import export_frame
    from ..analysis.folder_frame import folder_frame
    from ..analysis.frame import study_frame

    for path in plugins:
        add_plugin(path)
    with reading_from(root_of_data(data_root)):
        if Path(study).is_dir():
            frame = folder_frame(Path(study))
        else:
            opened = load_study(str(study), assignments(set), list(only))
            frame = study_frame(opened, Store(Path(results)))
    return export_frame(frame).drop(columns="schema")


def assignments(values: Mapping[str, Any] | None) -> list[str]:
    """As the command line spells them: `train.epochs=3`; JSON is YAML."""
    import json

    return [f"{key}={json.dumps(value)}" for key, value in (values or {}).items()]
