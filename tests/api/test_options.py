"""Options outside their declared type, bounds or choices are refused by name, and listings show what is declared."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.options import SIGNS, WrongOption, _field_types
from prunebench.benchmark.api.pruner import Pruner
from prunebench.datasets import registry
from prunebench.datasets.registry import DATASETS, OWN
from prunebench.methods.listing.annotations import type_of
from prunebench.methods.registry import describe, method_class, method_names
from pydantic import Field


@dataclass(kw_only=True)
class Example(Pruner):
    count: int = 3
    rate: float = 0.5
    limit: float | None = None
    is_fast: bool = False
    name: str = "a"
    layers: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("count", 2.5, "an integer"),
        ("count", True, "an integer"),
        ("count", "3", "an integer"),
        ("rate", "1e-4", "a finite number"),
        ("rate", math.nan, "a finite number"),
        ("rate", math.inf, "a finite number"),
        ("rate", None, "a finite number"),
        ("limit", "none", "a finite number or null"),
        ("is_fast", 1, "true or false"),
        ("name", 4, "a text"),
        ("sparsity", "0.9", "a finite number >= 0 and < 1"),
    ],
)
def test_a_wrong_type_is_refused_by_name(option: str, value: object, kind: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} is .*; it must be {re.escape(kind)}$"):
        Example(**{option: value})  # type: ignore[arg-type]


def test_right_types_pass() -> None:
    Example(count=1, rate=1, limit=None, is_fast=True, name="b", layers=("x",))
    Example(limit=0.25, layers=["x"])  # type: ignore[arg-type]


@dataclass(kw_only=True)
class Bounded(Pruner):
    turns: Annotated[int, Field(ge=1)] = 3
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    shares: tuple[Annotated[float, Field(ge=0)], ...] = ()
    side: Literal[1, 3] = 3
    other: NotImported = None  # noqa: F821  # pyright: ignore


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("turns", 0, "turns is 0; it must be an integer >= 1"),
        ("share", 1.0, "share is 1.0; it must be a finite number > 0 and < 1 or null"),
        ("shares", [0.5, -1], "shares is [0.5, -1]; it must be a list, each a finite number >= 0"),
        ("shares", ["0.5"], "shares is ['0.5']; it must be a list, each a finite number >= 0"),
        ("side", 2, "side is 2; it must be one of 1, 3"),
        ("side", True, "side is True; it must be one of 1, 3"),
        ("start", "end", "start is 'end'; it must be one of trained, init"),
    ],
)
def test_bounds_and_choices_are_checked(option: str, value: object, message: str) -> None:
    with pytest.raises(WrongOption, match=f"^{re.escape(message)}$"):
        Bounded(**{option: value})  # type: ignore[arg-type]


def test_lists_and_single_texts_become_tuples_and_numbers_stay_as_they_are() -> None:
    assert Bounded(shares=[1, 0.5]).shares == (1, 0.5)  # type: ignore[arg-type]
    assert type(Bounded(shares=[1]).shares[0]) is int  # type: ignore[arg-type]
    assert Example(layers="first").layers == ("first",)  # type: ignore[arg-type]
    assert Bounded(other=object()), "a type that is not known when the program runs is not checked"


@pytest.mark.parametrize("name", [*DATASETS, *OWN])
def test_every_option_of_a_data_set_has_a_type_that_is_checked(name: str) -> None:
    for option in fields(registry.dataset_class(name)):
        with pytest.raises(UserError, match=f"data set '{name}': {option.name} is .*; it must be "):
            registry.create(name, **{**({"path": "here"} if name in OWN else {}), option.name: object()})


@pytest.mark.parametrize("name", method_names())
def test_the_source_of_a_method_shows_the_types_that_its_class_checks(name: str) -> None:
    kind, options = method_class(name), describe(name).options
    for option, shown in options.items():
        assert repr(type_of(shown.declared)) == repr(_field_types(kind)[option])
        assert shown.bounds.keys() <= SIGNS.keys()


def test_what_a_description_says_of_an_option() -> None:
    options = describe("dpf").options
    every, schedule = options["every"], options["schedule"]
    assert (every.default, every.annotation, dict(every.bounds)) == (16, "int", {"ge": 0})
    assert every.allowed == "an integer >= 0"
    assert schedule.choices == ("one_shot", "cubic")
    assert "prune_rounds" not in options, "DPF takes no schedule that has rounds"
    assert "scope" not in describe("uniform_plus_mp").options, "an option that a class fixes is none"
