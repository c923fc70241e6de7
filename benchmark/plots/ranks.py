"""Ranks of methods: a heat map over settings and sparsities, and the critical-difference diagram."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from typing import TYPE_CHECKING

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import percent, setting
from ..analysis.ranks import (
    ALPHA,
    MIN_METHODS,
    RankTest,
    cell_ranks,
    fewest_settings,
    rank_test,
    rankable,
    setting_scores,
    smallest_adjusted,
)
from ..api.errors import UserError
from .style import headline, new_figure, shorten, style
from .text import plain, width_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TICK_SIZE = 8.8
"""Font size of the names beside the heat map, in points."""


def _ranks(frame: Frame, accuracy: str) -> Frame:
    return cell_ranks(rankable(frame), accuracy_column(accuracy))


def ranks_figure(frame: Frame, accuracy: str = "last", highlight: Collection[str] = ()) -> Figure:
    """Rank of each label (rows) in each setting and sparsity (columns); labels in `highlight` are bold.

    The best mean rank is on top. Labels that are not in all columns have no mean rank and are at the bottom.
    """
    ranks = _ranks(frame, accuracy)
    with style():
        import seaborn as sns
        from matplotlib.ticker import MaxNLocator

        if ranks.empty:
            return _empty("no stored run to rank")
        keys = ["dataset", "model", "target"]
        wide = ranks.pivot_table(index="label", columns=keys, values="rank", sort=False).sort_index(axis="columns")
        means = rank_test(setting_scores(ranks)).mean_ranks
        wide = wide.loc[[*means, *(label for label in wide.index if label not in means)]]
        labels = [wrapped(str(label), num_lines=2) for label in wide.index]
        # room for the labels and the colour bar, for letters of any width
        margin = max(3.0, 2.2 + max(width_of(label, TICK_SIZE) for label in labels))
        settings = {place[:2] for place in wide.columns}
        names = [plain(_place(place, is_only=len(settings) == 1)) for place in wide.columns]
        # names of several settings are rotated, and are below the map
        below = 0.0 if len(settings) == 1 else max(width_of(name, TICK_SIZE) for name in names)
        figure, axes = new_figure(margin + 0.46 * len(wide.columns), 1.5 + 0.32 * len(wide) + below)
        panel = axes[0, 0]
        sns.heatmap(wide, annot=True, fmt=".3g", cmap="cividis", ax=panel, linewidths=0.6, vmin=1,
                    vmax=max(2, len(wide)),
                    xticklabels=False, yticklabels=False,
                    annot_kws={"size": 8},
                    cbar_kws={"label": "rank, 1 is best", "pad": 0.02,
                              "ticks": MaxNLocator(8, integer=True)})  # fmt: skip
        panel.grid(visible=False)
        turn = {} if len(settings) == 1 else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
        panel.set_xticks([place + 0.5 for place in range(len(names))], names, **turn)
        panel.set_yticks([place + 0.5 for place in range(len(labels))], labels, fontsize=TICK_SIZE)
        panel.set(xlabel="", ylabel="")
        where = f", {setting(*settings.pop())}" if len(settings) == 1 else ""
        for tick, label in zip(panel.get_yticklabels(), wide.index, strict=True):
            tick.set_fontweight("bold" if label in highlight else "normal")
        headline(figure, f"Ranks by {ACCURACIES[accuracy]}{where}", legend_width=0.0)
    return figure


def _place(place: tuple[str, str, float], *, is_only: bool) -> str:
    dataset, model, target = place
    return percent(target) if is_only else f"{setting(dataset, model)}, {percent(target)}"


def critical_figure(frame: Frame, accuracy: str = "last", highlight: Collection[str] = ()) -> Figure:
    """Mean ranks over settings on a line; bars join methods that the tests do not tell apart.

    Labels in `highlight` are bold.

    Raises UserError if there are too few settings to tell any pair apart: a bar over all methods would not mean that
    they are alike.
    """
    ranks = _ranks(frame, accuracy)
    test = rank_test(setting_scores(ranks)) if len(ranks) else None
    _check_can_tell(test)
    assert test is not None
    bars = test.cliques or []
    with style():
        side = -(-len(test.mean_ranks) // 2)
        figure, axes = new_figure(7.0, 1.3 + 0.2 * (side + len(bars)))
        _draw_critical(axes[0, 0], test, bars, highlight)
        axes[0, 0].set_title(textwrap.fill(_critical_words(test, accuracy), 110), fontsize=7.5)
    return figure


def _check_can_tell(test: RankTest | None) -> None:
    """Raises UserError for too few methods, or too few settings for that many methods."""
    methods, settings = (len(test.mean_ranks), test.num_settings) if test else (0, 0)
    see = "`table --kind rank` and `plot --kind ranks` show the ranks"
    if methods < MIN_METHODS:
        raise UserError(
            f"--kind critical needs {MIN_METHODS} methods that are ranked in all settings and sparsities, not "
            f"{methods}; {see}"
        )
    needed = fewest_settings(methods)
    if settings < needed:
        raise UserError(
            f"--kind critical needs {needed} settings (data set with network) for {methods} methods, not {settings}: "
            f"with fewer no pair can be told apart at {ALPHA * 100:g} %, the smallest adjusted p-value is "
            f"{smallest_adjusted(settings, methods):.2g}; {see}"
        )


def _critical_words(test: RankTest, accuracy: str) -> str:
    return (
        f"Mean ranks by {ACCURACIES[accuracy]}. {test.sentence()} Bars join methods that are not told apart. "
        "A setting is one data set with one network; the ranks at its sparsities are averaged first."
    )


def _draw_critical(axes: Axes, test: RankTest, bars: list[tuple[str, ...]], highlight: Collection[str]) -> None:
    """The usual layout: the better half is named on the left, the other on the right."""
    names = list(test.mean_ranks)
    count, left = len(names), -(-len(names) // 2)
    axes.set_axis_off()
    axes.set_xlim(1 - 0.45 * max(1, count - 1), count + 0.45 * max(1, count - 1))
    axes.set_ylim(-(len(bars) + left + 1.2), 1.6)
    axes.plot([1, max(count, 2)], [0, 0], color="black", linewidth=1)
    for tick in range(1, max(count, 2) + 1):
        axes.plot([tick, tick], [0, 0.25], color="black", linewidth=1)
        if count <= 15 or tick == 1 or tick % 5 == 0:
            axes.text(tick, 0.45, str(tick), ha="center", va="bottom", fontsize=8)
    for index, bar in enumerate(bars):
        low, high = test.mean_ranks[bar[0]], test.mean_ranks[bar[-1]]
        axes.plot([low - 0.04, high + 0.04], [-0.5 - index] * 2, color="black", linewidth=3.2, solid_capstyle="round")
    for index, name in enumerate(names):
        is_left = index < left
        depth = -(len(bars) + 0.8 + (index if is_left else count - 1 - index))
        end = 1 - 0.06 * count if is_left else count + 0.06 * count
        rank = test.mean_ranks[name]
        axes.plot([rank, rank, end], [0, depth, depth], color="0.35", linewidth=0.8)
        text = shorten(name)
        axes.text(end, depth, f"{text} {rank:.2f} " if is_left else f" {rank:.2f} {text}",
                  ha="right" if is_left else "left", va="center", fontsize=8,
                  fontweight="bold" if name in highlight else "normal")  # fmt: skip


def _empty(message: str) -> Figure:
    figure, axes = new_figure(4.0, 1.2)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0.5, 0.5, message, ha="center", va="center")
    return figure
