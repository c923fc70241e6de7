"""The leaderboard's page: one HTML file with everything it shows, beside a file of JSON for each result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..api.errors import UserError
from ..report.template import asset, embed_json, template
from ..runs.files import names_in, write_atomically
from ..tables.formats.to_html import to_html
from .collect import Collected
from .row_data import RowData
from .schema import REFERENCE, as_json, json_schema
from .settings import SAME_SETTING, Setting, settings_of
from .table import Made, leader_table
from .tracks import TRACKS

SCRIPTS = ("report_page.js", "report_sort.js")
OWN_SCRIPTS = ("leaderboard_rows.js", "leaderboard_filter.js")


@dataclass(frozen=True)
class Written:
    """What was published, and how many files of results had changed or were removed."""

    results: int
    rows: int
    tables: int
    changed: int
    removed: int


def publish(found: Collected, target: Path) -> Written:
    """Write `index.html`, `schema.json` and `results/ID.json`; results that are no longer there are removed.

    Raises UserError for a target that is a file, or a folder of something else.
    """
    check_target(target)
    made = [leader_table(setting) for setting in settings_of(found.results)]
    page = html_page(made, found)
    files = {result.file_name: as_json(result).encode() for result in found.results}
    folder = target / "results"
    changed = sum(_write(folder / name, content) for name, content in files.items())
    old = [name for name in names_in(folder) if name.endswith(".json") and name not in files]
    for name in old:
        (folder / name).unlink()
    _write(target / "schema.json", json_schema().encode())
    _write(target / "index.html", page.encode())
    return Written(len(files), sum(len(each.setting.rows) for each in made), len(made), changed, len(old))


def check_target(target: Path) -> None:
    """Refuses a folder with other files than a leaderboard's, so that none is overwritten."""
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; give a folder to publish into")
    strange = sorted(set(names_in(target)) - {"index.html", "schema.json", "results"})
    if names_in(target) and (strange or "schema.json" not in names_in(target)):
        what = strange[0] if strange else "no schema.json"
        raise UserError(f"{target} is not empty and no leaderboard ({what}); give a new folder to publish into")


def _write(path: Path, content: bytes) -> bool:
    """Whether the file was not there with this content."""
    if path.is_file() and path.read_bytes() == content:
        return False
    write_atomically(path, content)
    return True


def html_page(made: Sequence[Made], found: Collected) -> str:
    """The page as text; nothing in it is fetched from anywhere."""
    package = __package__ or ""
    places: dict[str, list[tuple[int, str, list[str]]]] = {}
    for index, each in enumerate(made):
        shown = index, to_html(each.table), missing(each.setting, found)
        places.setdefault(each.setting.place, []).append(shown)
    return template(package, "leaderboard.html").render(
        version=__version__,
        same_setting=SAME_SETTING,
        tracks=list(TRACKS.values()),
        places=list(places.items()),
        num_results=len({result.file_name for result in found.results}),
        num_rows=sum(len(each.setting.rows) for each in made),
        num_tables=len(made),
        contributions=found.contributions,
        left_out=found.left_out,
        data=embed_json(page_data(made)),
        style=asset("report.css") + asset("leaderboard.css", package),
        scripts=[*map(asset, SCRIPTS), *(asset(name, package) for name in OWN_SCRIPTS)],
    )


def missing(setting: Setting, found: Collected) -> list[str]:
    """A sentence for each study with rows in a table, and runs that are not computed."""
    studies = {row.first.study for row in setting.rows if row.first.source == REFERENCE}
    return [f"{found.incomplete[study]}." for study in sorted(studies & found.incomplete.keys())]


def page_data(made: Sequence[Made]) -> dict[str, Any]:
    """What scripts need: for each table its track and its rows in their order, and the choices of the filters."""
    reader = RowData()
    tables = [
        {
            "track": each.setting.track,
            "place": each.setting.place,
            "rows": [reader.of(row, each.setting) for row in each.rows],
        }
        for each in made
    ]
    rows = [row for table in tables for row in table["rows"] if not row["is_dense"]]
    return {
        "tables": tables,
        "tracks": [[key, title] for key, (title, _) in TRACKS.items() if any(t["track"] == key for t in tables)],
        "families": sorted({row["family"] for row in rows}),
        "years": sorted({row["year"] for row in rows if row["year"]}),
        "places": list(dict.fromkeys(table["place"] for table in tables)),
    }
