"""The choices of a study, frozen in a file before anything is evaluated.

    RESULTS/<study>/selection.json

The file holds no time and no number of the test set: equal trials give equal bytes. A choice that differs from the one
that was frozen before replaces it, and the one before is kept beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from ..api.errors import Damaged
from ..runs.files import free_name, read_typed, write_json
from ..runs.store import Store
from ..studies.load import Study
from ..studies.schema import StudyFile
from ..studies.trials import Search, Trial
from .scores import Score, best, scores

SCHEMA = 1

RULE = (
    "the trial with the best mean accuracy on the validation split, of the epoch that this split picks, over the "
    "tuning seeds; of equal ones the one with fewer epochs, then the lower number; never a trial that failed, "
    "collapsed or kept too many weights"
)


class StoredScore(TypedDict):
    """One trial as it was seen when the choice was made; `runs` are the ids of its runs."""

    trial: int
    train: dict[str, Any]
    options: dict[str, Any]
    runs: list[str]
    state: str
    validation: list[float]
    epochs: int


class StoredChoice(TypedDict):
    """The choice of one search among its first `num_trials` trials; `trials` is the digest of their runs."""

    label: str
    sparsity: float
    track: str
    num_trials: int
    trial: int
    train: dict[str, Any]
    options: dict[str, Any]
    validation: float | None
    is_usable: bool
    trials: str
    hash: str


class StoredSearch(TypedDict):
    """The trials of one search."""

    label: str
    sparsity: float
    track: str
    trials: list[StoredScore]


class StoredSelection(TypedDict):
    """The whole file. `replaced`: choices that were frozen before, and are others now."""

    schema: int
    study: str
    rule: str
    hash: str
    choices: list[StoredChoice]
    replaced: list[StoredChoice]
    searches: list[StoredSearch]


def selection_path(study: str, store: Store) -> Path:
    """Of the file with the choices of a study."""
    return store.study_folder(study) / "selection.json"


def read_selection(study: str, store: Store) -> StoredSelection | None:
    """The frozen choices; None where there are none, or where the file is damaged, which is noted in the store."""
    try:
        found: Any = read_typed(selection_path(study, store), StoredSelection)
    except FileNotFoundError:
        return None
    except Damaged as error:
        store.note(error)
        return None
    return found


def freeze(study: Study, store: Store) -> StoredSelection | None:
    """Choose for every search whose trials have all ended, and store it. None where there is nothing to choose.

    A damaged file is kept beside the new one: it may be all that says what was evaluated.
    """
    before, path = read_selection(study.name, store), selection_path(study.name, store)
    if path in store.damaged:
        path.rename(free_name(path))
    seen = [(search, scores(search, study.name, store)) for search in study.searches]
    ended = [(search, found) for search, found in seen if all(score.state != "open" for score in found)]
    if not ended:
        return before
    made = [_choice(search, found[:number], number) for search, found in ended for number in _numbers(study.file)]
    selection = _updated(study.name, before, made, [_stored(*each) for each in ended])
    if selection != before:
        write_json(path, selection)
    return selection


def _numbers(file: StudyFile) -> list[int]:
    """Of trials among which a choice is made."""
    return sorted(file.tune.trials) if file.tune else []


def _updated(
    study: str, before: StoredSelection | None, made: Sequence[StoredChoice], seen: Sequence[StoredSearch]
) -> StoredSelection:
    """The file with these choices, those of other searches as before, and those that are others now set aside."""
    earlier = before["choices"] if before else []
    now = {_key(choice): choice["hash"] for choice in made}
    replaced = [choice for choice in earlier if now.get(_key(choice), choice["hash"]) != choice["hash"]]
    choices = [*_without(earlier, made), *made]
    selection = StoredSelection(
        schema=SCHEMA,
        study=study,
        rule=RULE,
        hash=_digest([choice["hash"] for choice in choices]),
        choices=choices,
        replaced=[*(before["replaced"] if before else []), *replaced],
        searches=[*_without(before["searches"] if before else [], seen), *seen],
    )
    # as it is read again: tuples are lists in a file
    return json.loads(json.dumps(selection))


def find_choice(selection: StoredSelection | None, search: Search, number: int) -> StoredChoice | None:
    """The frozen choice among the first trials of a search; None if there is none, or it is one of other trials."""
    trials = _trials_digest(search.trials[:number])
    for choice in selection["choices"] if selection else ():
        if _key(choice) == (search.label, search.sparsity, search.track, number) and choice["trials"] == trials:
            return choice
    return None


def choices_of(selection: StoredSelection | None, found: Sequence[Search]) -> list[StoredChoice]:
    """All frozen choices of these searches, of these trials or of others."""
    places = {(search.label, search.sparsity, search.track) for search in found}
    return [choice for choice in (selection["choices"] if selection else ()) if _key(choice)[:3] in places]


def chosen_trial(choice: StoredChoice, search: Search) -> Trial:
    """The trial of a choice."""
    return search.trials[choice["trial"]]


def _choice(search: Search, found: Sequence[Score], number: int) -> StoredChoice:
    chosen = best(found)
    plain = StoredChoice(
        label=search.label,
        sparsity=search.sparsity,
        track=search.track,
        num_trials=number,
        trial=chosen.trial.number,
        train=dict(chosen.trial.train),
        options=dict(chosen.trial.options),
        validation=chosen.mean,
        is_usable=chosen.state == "usable",
        trials=_trials_digest([score.trial for score in found]),
        hash="",
    )
    return StoredChoice({**plain, "hash": _digest(plain)})  # pyright: ignore[reportArgumentType]


def _stored(search: Search, found: Sequence[Score]) -> StoredSearch:
    return StoredSearch(
        label=search.label,
        sparsity=search.sparsity,
        track=search.track,
        trials=[
            StoredScore(
                trial=score.trial.number,
                train=dict(score.trial.train),
                options=dict(score.trial.options),
                runs=[run.id for run in score.trial.runs],
                state=score.state,
                validation=list(score.validation),
                epochs=score.epochs,
            )
            for score in found
        ],
    )


def _key(choice: Mapping[str, Any]) -> tuple[Any, ...]:
    return choice["label"], choice["sparsity"], choice["track"], choice.get("num_trials")


def _without(before: Sequence[Any], made: Sequence[Any]) -> list[Any]:
    """What was stored for other searches: those that `--only` leaves out now."""
    now = {_key(each) for each in made}
    return [each for each in before if _key(each) not in now]


def _trials_digest(trials: Sequence[Trial]) -> str:
    return _digest([run.id for trial in trials for run in trial.runs])


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
