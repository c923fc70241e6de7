"""Pages that hold everything they show: templates, style and scripts of this room, and data within a page."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def asset(name: str, package: str = __package__ or "") -> str:
    """A file in the folder `assets` of a package."""
    return (resources.files(package) / "assets" / name).read_text(encoding="utf-8")


def template(package: str, name: str) -> Template:
    """A template of a package. Everything that is put into it is escaped; a name that it does not get is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda wanted: asset(wanted, package)), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


def embed_json(value: Any) -> str:
    """JSON for a script element, without characters that HTML or old scripts read as its end."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
