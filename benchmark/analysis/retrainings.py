"""Retrainings of one seed are one value: they share their dense training, so they are averaged before any statistic.

A mean, a spread and a number of seeds are then over dense trainings, which are independent.
"""

from __future__ import annotations

from .frame_type import Frame

KEYS = ["study", "label", "method", "target", "seed"]
"""What retrainings of one seed have in common."""


def has_retrainings(frame: Frame) -> bool:
    """Whether some seed of the frame has several runs that differ in their retraining seed."""
    return bool(frame["retrain_seed"].nunique() > 1)


def is_averaged(frame: Frame) -> bool:
    """Whether the frame has rows of `mean_retrainings` that stand for several runs: these have no retraining seed."""
    return bool((frame["retrain_seed"].isna() & frame["seed"].notna()).any())


def mean_retrainings(frame: Frame) -> Frame:
    """A row for each seed in place of one for each retraining: means of numbers, the first of other columns.

    A seed with a retraining that is not stored has the state of that one, and no numbers. The rows keep their order.
    """
    if not has_retrainings(frame):
        return frame
    listed = frame["seed"].isna()
    grouped = frame[~listed].groupby(KEYS, sort=False, dropna=False)
    # `first` takes the first value that is there: one older retraining makes the mean an older one
    made = grouped.first()
    numbers = [name for name in made.columns if name not in _NOT_AVERAGED and made[name].dtype.kind in "fiu"]
    made[numbers] = grouped[numbers].mean()
    is_open = frame[~listed & (frame["state"] != "done")].groupby(KEYS, sort=False, dropna=False).first()
    made.loc[is_open.index, ["state", "reason", "fault"]] = is_open[["state", "reason", "fault"]]
    made.loc[is_open.index, [name for name in numbers if name != "accuracy_before"]] = float("nan")
    made.loc[grouped.size() > 1, "retrain_seed"] = float("nan")
    place = {label: index for index, label in enumerate(dict.fromkeys(frame["label"]))}
    joined = _joined(made.reset_index()[list(frame.columns)], frame[listed])
    return joined.sort_values("label", key=lambda labels: labels.map(place), kind="stable", ignore_index=True)


_NOT_AVERAGED = ("retrain_seed", "changed_since_submission")


def mean_layers(layers: Frame) -> Frame:
    """The same for a frame of layers; a layer that is empty in one retraining counts as empty."""
    made = _mean_within(layers, [*KEYS[1:], "index", "layer"], ["density"])
    if len(made) < len(layers):
        made["kept"] = layers.groupby([*KEYS[1:], "index", "layer"], sort=False)["kept"].min().to_numpy()
    return made


def mean_epochs(epochs: Frame) -> Frame:
    """The same for a frame of epochs."""
    numbers = ["train_loss", "validation_accuracy", "test_accuracy", "density"]
    return _mean_within(epochs, [*KEYS[1:], "epoch"], numbers)


def _mean_within(frame: Frame, keys: list[str], numbers: list[str]) -> Frame:
    if not frame.duplicated(keys).any():
        return frame
    grouped = frame.groupby(keys, sort=False)
    made = grouped.first()
    made[numbers] = grouped[numbers].mean()
    return made.reset_index()[list(frame.columns)]


def _joined(first: Frame, second: Frame) -> Frame:
    import pandas as pd

    return pd.concat([first, second], ignore_index=True) if len(second) else first
