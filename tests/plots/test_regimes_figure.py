"""The maps of a three-regime study: hot on top, density to the right, failed cells hatched, thresholds below."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.patches import Rectangle
from prunebench.benchmark.analysis.connectivity import Thresholds
from prunebench.benchmark.analysis.regime_cells import RegimeCell, RegimeMap, SeedCell
from prunebench.benchmark.plots.kinds import save_figure
from prunebench.benchmark.plots.regimes import COLORS, MAPS, regimes_figure


def cell(error: float, lmc: float, cka: float, train_error: float = 0.05) -> RegimeCell:
    made = SeedCell(
        test_error=error, validation_error=error, train_error=train_error, lmc=lmc, barrier=-lmc, cka=cka,
        dense_validation_error=0.1, dense_epochs=1, retrain_epochs=1, num_retrainings=2, weights_left=0.1,
    )  # fmt: skip
    return RegimeCell({0: made})


def regime_map(cells: dict[tuple[float, float], RegimeCell]) -> RegimeMap:
    return RegimeMap("lr", [0.4, 0.1], [0.05, 0.2], cells, 0.1, 10, Thresholds(tau=0.2))


CELLS = {
    (0.4, 0.05): cell(0.9, 0.0, 0.999, train_error=0.9), (0.4, 0.2): cell(0.25, -0.01, 0.95),
    (0.1, 0.05): cell(0.3, -0.5, 0.9), (0.1, 0.2): cell(0.2, 0.0, 0.995),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_maps_and_regimes_have_the_same_axes(tmp_path: Path) -> None:
    figure = regimes_figure(regime_map(CELLS), "net on data")
    save_figure(figure, tmp_path / "regimes")
    panels = figure.axes[: len(MAPS) + 1]
    for panel in panels:
        assert [label.get_text() for label in panel.get_xticklabels()] == ["5", "20"]
        assert [label.get_text() for label in panel.get_yticklabels()] == ["0.4", "0.1"]
        assert panel.get_ylim()[0] > panel.get_ylim()[1], "the first row is on top"
        assert panel.get_ylabel() == "lr, hot on top"
    errors, above, lmc, _, cka, regimes = ({text.get_position(): text.get_text() for text in panel.texts}
                                           for panel in panels)  # fmt: skip
    assert errors == {(0, 0): "90.0", (1, 0): "25.0", (0, 1): "30.0", (1, 1): "20.0"}
    assert above == {(0, 0): "60.0", (1, 0): "5.0", (0, 1): "0.0", (1, 1): "0.0"}
    assert lmc == {(0, 0): "0.00", (1, 0): "-0.01", (0, 1): "-0.50", (1, 1): "0.00"}
    assert cka[0, 1] == "0.900"
    assert regimes == {(0, 0): "failed", (1, 0): "II-A", (0, 1): "I", (1, 1): "II-B"}
    # a failed cell does not stretch the colours of the others
    assert panels[0].images[0].get_clim() == pytest.approx((20, 30))
    hatched = [patch for patch in panels[-1].patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(-0.5, -0.5)]
    caption = " ".join(figure.texts[-1].get_text().split())
    assert "thresholds that the study declares, not the paper's: I where LMC < -0.2" in caption
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(COLORS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [0, 1])
def test_cells_that_are_missing_stay_empty(tmp_path: Path, number: int) -> None:
    figure = regimes_figure(regime_map(dict(list(CELLS.items())[2 : 2 + number])), "net on data")
    save_figure(figure, tmp_path / "regimes")
    assert len(figure.axes[0].texts) == number
    assert "Empty cells lack a run or a pair." in " ".join(figure.texts[-1].get_text().split())
