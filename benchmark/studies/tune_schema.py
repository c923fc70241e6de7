"""The keys of `tune` in a study file: how many trials, on which seeds, over which values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from .names import STRICT, Named, as_list
from .search_space import Space, read_space

Track = Literal["A", "B"]
"""A: tuned and evaluated on the same data and network. B: tuned on others, frozen, and evaluated here."""


class _Strict(BaseModel):
    model_config = STRICT


def _spaces(value: Any) -> Any:
    """Spaces by method and option; what is wrong with one is said with its name."""
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        raise ValueError(f"spaces is {value!r}; it must map methods to options, and each option to its values")
    found: dict[str, dict[str, Space]] = {}
    for method, space in value.items():
        found[method] = {}
        for option, each in space.items():
            try:
                found[method][option] = read_space(each)
            except ValueError as error:
                raise ValueError(f"{method}.{option}: {error}") from None
    return found


class SharedSpace(_Strict):
    """Values of the knobs that every method has, in its own training; the same for all of them."""

    lr: Annotated[Any, BeforeValidator(read_space)] = None
    """Learning rate; default: from a thirtieth to three times that of `train`, on a logarithmic scale."""
    weight_decay: Annotated[Any, BeforeValidator(read_space)] = None
    """Default: 1e-5 to 1e-2, on a logarithmic scale."""


class OtherScenario(_Strict):
    """Data and network of track B; what is missing is that of the study."""

    dataset: Named | None = None
    """A name, or `{name: ..., options: {...}}`."""
    model: Named | None = None
    """A name, or `{name: ..., options: {...}}`."""


class TuneFile(_Strict):
    """The same number of trials for every pruned row and sparsity of the study; see docs/tuning.md.

    Values are a range, `{low: 0.01, high: 1, log: true}`, or a list of choices.
    """

    trials: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(as_list), Field(min_length=1)] = [8]
    """Of each row and sparsity, the defaults included; of several numbers each is evaluated, for the curve."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(as_list), Field(min_length=1)] = [101, 102]
    """A trial is a run for each; none may be a seed of the study."""
    search_seed: int = Field(default=0, ge=0)
    """All trials are drawn from it before anything runs."""
    train: SharedSpace = SharedSpace()
    """Values of the knobs that all methods share."""
    spaces: Annotated[dict[str, dict[str, Any]], BeforeValidator(_spaces)] = {}
    """By label or method, in place of what the method declares: `{snip: {score_samples: [64, 256]}}`."""
    on: OtherScenario | None = None
    """Data and network to tune on, other than those of the study (track B)."""
    tracks: Annotated[list[Track], BeforeValidator(as_list)] = []
    """A, B or both; default: B where there is `on`, else A."""

    @model_validator(mode="after")
    def _fits_together(self) -> TuneFile:
        for name in ("trials", "seeds", "tracks"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; each may stand there once")
        if "B" in self.tracks and self.on is None:
            raise ValueError("track B needs `on`: the data and the network to tune on")
        if self.on is not None and self.tracks == ["A"]:
            raise ValueError("`on` has no effect on track A")
        return self

    @property
    def budget(self) -> int:
        """Trials of each row and sparsity."""
        return max(self.trials)

    @property
    def all_tracks(self) -> list[Track]:
        return sorted(self.tracks) or (["A"] if self.on is None else ["B"])
