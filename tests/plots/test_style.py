"""Looks of figures: colours, markers, names, room for legends."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.plots.accuracy import accuracy_figure
from prunebench.benchmark.plots.style import LINES, MARKERS, OTHER_LOOK, OWN_COLOR, PALETTE, headline, looks, shorten
from prunebench.benchmark.plots.training import training_figure
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.methods import METHODS
from prunebench.methods.registry import describe
from synthetic_results import STUDY, write_study


def test_a_method_keeps_its_colour_over_studies(tmp_path: Path) -> None:
    def colours(text: str) -> dict[str, str]:
        study = write_study(tmp_path, text)
        return {label: look.color for label, look in looks(study_frame(study, Store(tmp_path))).items()}

    first = colours(STUDY)
    second = colours(STUDY.replace("[global_mp, snip, random]", "[random, grasp, snip]"))
    assert first["SNIP"] == second["SNIP"]
    assert first["Random"] == second["Random"]
    assert len(set(first.values())) == 3


def test_an_earlier_place_in_the_registry_keeps_its_colour_against_a_later_one(tmp_path: Path) -> None:
    methods = [name for name in METHODS if name != "dense"]
    late, early = methods[len(PALETTE)], methods[0]
    study = write_study(tmp_path, STUDY.replace("[global_mp, snip, random]", f"[{late}, {early}]"))
    found = looks(study_frame(study, Store(tmp_path)))
    assert found[describe(early).label].color == PALETTE[0]
    assert found[describe(late).label].color == PALETTE[1]


def test_labels_of_one_method_share_the_colour_and_differ_in_marker_and_line(tmp_path: Path) -> None:
    text = STUDY + "  - {method: global_mp, label: MT, sparsity: 90%, options: {minimum_threshold: 0.1}}\n"
    found = looks(study_frame(write_study(tmp_path, text), Store(tmp_path)))
    one, other = found["Global MP"], found["MT"]
    assert one.color == other.color
    assert (one.marker, one.line) != (other.marker, other.line)
    assert one.marker != other.marker
    assert one.line != other.line


def test_looks_are_told_apart_without_colour() -> None:
    assert len(set(MARKERS)) == len(MARKERS) >= len(PALETTE)
    assert len({str(line) for line in LINES}) == len(LINES)


# Machado, Oliveira & Fernandes 2009, severity 1
COLOUR_BLINDNESS = {
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


@pytest.mark.parametrize("kind", COLOUR_BLINDNESS)
def test_all_colours_are_told_apart_by_colour_blind_readers(kind: str) -> None:
    def seen(color: str) -> np.ndarray:
        red_green_blue = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.clip(np.array(COLOUR_BLINDNESS[kind]) @ red_green_blue**2.2, 0, 1) ** (1 / 2.2)

    distances = [np.linalg.norm(seen(a) - seen(b)) for a, b in itertools.combinations([*PALETTE, OWN_COLOR], 2)]
    # 0.1 is 25 steps of 255 in one channel
    assert min(distances) > 0.1


def frame_of(methods: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"label": [f"{name} {i}" for i, name in enumerate(methods)], "method": methods})


@pytest.mark.parametrize("count", [13, 40, 99])
def test_no_two_rows_share_colour_and_marker(count: int) -> None:
    names = [name for name in METHODS if name != "dense"]
    for methods in ([*names, *["global_mp"] * 6, "mine"][:count], ["global_mp"] * 12, names[-13:]):
        found = looks(frame_of(methods)).values()
        assert len({(look.color, look.marker) for look in found}) == len(methods)


def test_markers_are_used_evenly() -> None:
    found = looks(frame_of([name for name in METHODS if name != "dense"][: 2 * len(MARKERS)]))
    counts = [[look.marker for look in found.values()].count(marker) for marker in MARKERS]
    assert (min(counts), max(counts)) == (2, 2)


def test_methods_of_ones_own_have_a_colour_that_no_other_has() -> None:
    found = looks(frame_of([*(name for name in METHODS if name != "dense"), "mine", "also_mine"]))
    assert {label for label, look in found.items() if look.color == OWN_COLOR} == {
        label for label in found if "mine" in label
    }
    own = [look for look in found.values() if look.color == OWN_COLOR]
    assert len({look.marker for look in own}) == len(own) == 2


def test_rows_that_are_not_highlighted_are_grey_and_thin() -> None:
    frame = frame_of(["global_mp", "snip", "grasp"])
    usual, found = looks(frame), looks(frame, {"snip 1"})
    assert found["snip 1"] == usual["snip 1"]
    assert found["grasp 2"] == found["global_mp 0"] == OTHER_LOOK
    assert usual["snip 1"].width > OTHER_LOOK.width


def test_a_long_name_keeps_what_tells_it_apart() -> None:
    assert shorten("short") == "short"
    assert shorten("Global MP (minimum_threshold=0.15)", 20) == "Global MP…hold=0.15)"


def test_drawing_leaves_the_settings_of_matplotlib_alone(made: tuple[Study, Store]) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    accuracy_figure(study_frame(*made))
    assert dict(mpl.rcParams) == before


def test_titles_break_between_words_and_not_in_names() -> None:
    figure = Figure(figsize=(5, 3))
    headline(figure, " ".join(["ConvNet-small"] * 20))
    assert set(figure.get_suptitle().split()) == {"ConvNet-small"}
    assert "\n" in figure.get_suptitle()


def test_a_training_of_one_epoch_has_one_tick() -> None:
    row: dict[str, object] = {"label": "SNIP", "method": "snip", "id": "a", "target": 0.9, "epoch": 1, "density": 0.1}
    row |= {"validation_accuracy": 0.5, "test_accuracy": 0.5}
    panel = training_figure(pd.DataFrame([row]), "x").axes[0]
    low, high = panel.get_xlim()
    assert [tick for tick in panel.get_xticks() if low <= tick <= high] == [1]
