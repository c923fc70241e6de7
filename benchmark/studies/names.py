"""Parts that several models of study files share: what they refuse, names with options, and lists."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


def as_list(value: Any) -> Any:
    """A single value is a list of one."""
    return value if isinstance(value, list) else [value]


STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of every part of a study file: no other keys, and no number that is not finite."""


class Named(BaseModel):
    """A name with options: a data set or a model. A bare string is a name without options."""

    model_config = STRICT

    name: str
    """As `prunebench list` shows it."""
    options: dict[str, Any] = {}
    """Its options, as `prunebench show NAME` prints them."""

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
