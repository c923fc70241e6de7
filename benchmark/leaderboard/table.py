"""The table of a setting: that of accuracies, with its marks, and what a leaderboard adds to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..analysis.frame_type import Frame
from ..runs.run import Recipe, Run
from ..tables.accuracy import accuracy_table
from ..tables.table import Cell, Column, Note, Table, TableRow
from . import latency_cells
from .frame import chance_of, counts, setting_frame
from .mixing import MIXED, OTHER, mixed, unusual, usual_facts
from .settings import Row, Setting, own_recipe
from .tracks import is_control

OTHER_RECIPE = "retrained by another recipe than most rows of the table, beside its epochs"


@dataclass(frozen=True)
class Made:
    """A table, and the row of the setting behind each of its rows."""

    setting: Setting
    table: Table
    rows: tuple[Row, ...]


def leader_table(setting: Setting) -> Made:
    """Mean accuracies of the last epoch with 95 % intervals; sorted, dense rows first, controls grey."""
    frame = setting_frame(setting)
    made = accuracy_table(frame, stat="ci", chance=chance_of(setting) or None)
    by_label = {row.label: row for row in (*setting.dense, *setting.rows)}
    usual = _Usual(setting)
    # a dense row is made of what pruned runs say of their start where no dense training is published
    rows = [_row(each, by_label[each.label], frame, usual) for each in made.rows if each.label in by_label]
    place = _sorting_column(made)
    rows.sort(key=lambda row: (row.label not in {each.label for each in setting.dense}, -_value(row, place)))
    heading = made.columns[place].heading
    table = replace(
        made,
        title=setting.title,
        columns=(*made.columns, Column(heading="n", measure="n"), *latency_cells.COLUMNS),
        rows=tuple(rows),
        caption=(
            f"{usual.recipe_sentence} Rows are sorted by the accuracy at {heading.replace('own', 'their own')}; "
            "controls and dense rows are grey.",
            *made.caption,
            latency_cells.sentence(setting.rows),
        ),
    )
    return Made(setting, table, tuple(by_label[row.label] for row in rows))


class _Usual:
    """What most rows of a table have: versions and hardware, and the recipe of retraining."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.facts = usual_facts([*setting.dense, *setting.rows])
        found = Counter(self.changes(run) for row in setting.rows for run in row.runs if run.parent is not None)
        self.retraining = found.most_common(1)[0][0] if found else ""

    def changes(self, run: Run) -> str:
        return spelled(own_recipe(run, self.setting)) or "the same recipe"

    @property
    def recipe_sentence(self) -> str:
        """The recipe of the first training, and what the others do otherwise, in the words of study files."""
        recipe = self.setting.recipe
        shown = {key: value for key, value in vars(recipe).items() if key in _ALWAYS or value != _DEFAULTS[key]}
        again = f"; retraining: {self.retraining}" if self.retraining else ""
        return f"Recipe of the {'first' if again else 'whole'} training: {spelled(shown)}{again}."


_ALWAYS = ("epochs", "batch_size", "optimizer", "lr", "schedule", "weight_decay", "precision")
_DEFAULTS = vars(Recipe(epochs=0))


def spelled(values: Mapping[str, Any]) -> str:
    """`lr 0.05, batch_size 64`."""
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _row(row: TableRow, source: Row, frame: Frame, usual: _Usual) -> TableRow:
    number = Cell(text=counts(frame, row.label), notes=tuple(_notes(source, usual)))
    return replace(
        row,
        cells=(*row.cells, number, *latency_cells.cells(source)),
        is_reference=row.is_reference or is_control(source.first),
    )


def _notes(row: Row, usual: _Usual) -> Iterator[Note]:
    if found := mixed(row):
        yield Note("◆", MIXED, row.label, fact=f": {found}")
    elif found := unusual(row, usual.facts):
        yield Note("◇", OTHER, row.label, fact=f": {found}")
    for changes in dict.fromkeys(usual.changes(run) for run in row.runs if run.parent is not None):
        if changes != usual.retraining:
            yield Note("↺", OTHER_RECIPE, row.label, fact=f": {changes}")


def _sorting_column(table: Table) -> int:
    """The sparsity that most rows have; of equal ones the highest."""
    width = max(len(table.columns) - 3, 1)
    filled = [sum(row.cells[index].value is not None for row in table.rows) for index in range(width)]
    return max(range(width), key=lambda index: (filled[index], index))


def _value(row: TableRow, place: int) -> float:
    value = row.cells[place].value
    return float("-inf") if value is None else value
