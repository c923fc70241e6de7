"""What commands do with a study that has `tune`: `run` computes its stages, `submit` queues the one that is ready."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..runs.number_of import number_of
from ..runs.store import Store
from ..tuning.selection import freeze
from ..tuning.stages import (
    Progress,
    evaluation_study,
    progress,
    replaced_lines,
    trial_studies,
    unchecked_trials,
)
from .compute_study import Asked, compute_study
from .options import check_writable, open_store, say
from .output import INCOMPLETE

if TYPE_CHECKING:
    from ..studies.load import Study


def run_stages(study: Study, asked: Asked) -> int:
    """Compute the trials, freeze the choices, then compute what is evaluated. Returns the exit code.

    A failed trial is no failure of the command: it is never chosen.
    """
    unchecked = unchecked_trials(study)
    for part in trial_studies(study):
        say(f"{study.name}: trials on {part.file.model.name}, {part.file.dataset.name}")
        compute_study(part, asked, unchecked, "validation")
    store = open_store(asked.settings.results)
    found = choose(study, store)
    if not found.is_chosen:
        left = number_of(found.num_runs - found.num_done, "run")
        say(f"{study.name}: nothing is evaluated before all trials have ended; not stored: {left}")
        return INCOMPLETE
    say(f"{study.name}: evaluation")
    return compute_study(evaluation_study(study, store), asked)


def choose(study: Study, store: Store) -> Progress:
    """Freeze the choices that can be made, and say what was chosen."""
    before = progress(study, store)
    if before.num_searches:
        check_writable(store.root)
        freeze(study, store)
    found = progress(study, store)
    if found.selection is not None and (before.selection or {}).get("hash") != found.selection["hash"]:
        say(f"{study.name}: selection {found.selection['hash']} of {found.num_chosen} searches is frozen")
        for choice in found.selection["choices"]:
            if study.file.tune is not None and choice["num_trials"] == study.file.tune.budget:
                values = {**choice["train"], **choice["options"]}
                shown = ", ".join(f"{name}={value}" for name, value in values.items()) or "the study's own values"
                note = "" if choice["is_usable"] else " (no trial is usable)"
                where = f"{choice['label']} at {choice['sparsity'] * 100:g}%, track {choice['track']}"
                say(f"  {where}: trial {choice['trial']}, {shown}{note}")
    for line in replaced_lines(found.selection) if found.selection else []:
        say(f"{study.name}: {line}")
    return found


def ready_stage(study: Study, store: Store, *, is_frozen: bool = True) -> tuple[Study, str]:
    """The runs that `submit` can queue now, and a line on what to do when they are done.

    Choices that can be made are frozen first, unless `is_frozen` is false: then those that are frozen already count.
    """
    if study.file.tune is None:
        return study, ""
    found = choose(study, store) if is_frozen else progress(study, store)
    if found.is_chosen:
        return evaluation_study(study, store), ""
    rows = tuple(row for part in trial_studies(study) for row in part.rows)
    return replace(study, rows=rows), "these are trials; when they have ended, the same command queues the evaluation"
