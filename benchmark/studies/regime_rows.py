"""The rows of a three-regime study: a dense training for each value of the knob, pruned to each density.

Source: Zhou et al., *A Three-regime Model of Network Pruning* (arXiv:2305.18383), and the code of its authors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..api.errors import UserError
from ..runs.run import DENSE
from .expand import Part
from .recipe_schema import TrainFile
from .schema import Entry, Knob, StudyFile, ThreeRegime
from .yaml_source import Source

NAMES: dict[Knob, str] = {
    "epochs": "epochs",
    "epochs-rescaled": "rescaled epochs",
    "batch_size": "batch size",
    "lr": "lr",
}
"""The knobs as labels name them."""


def regime_label(knob: Knob, value: float) -> str:
    """The label of the pruned rows of a value."""
    return f"{NAMES[knob]} {value:g}"


def dense_label(knob: Knob, value: float) -> str:
    """The label of the dense training of a value."""
    return f"Dense, {regime_label(knob, value)}"


def hottest_first(block: ThreeRegime) -> list[float]:
    """The values of the knob, the highest temperature first: few epochs, small batches, a large learning rate."""
    return sorted(block.values, reverse=block.knob == "lr")


def default_value(file: StudyFile) -> float:
    """The value that `train` itself has, which the study changes; the coldest one if it is not among the values."""
    block = file.three_regime
    assert block is not None
    own = {"batch_size": file.train.batch_size or 128, "lr": file.train.lr or 0.1}.get(block.knob, file.train.epochs)
    return own if own in block.values else hottest_first(block)[-1]


def regime_parts(file: StudyFile, source: Source) -> Iterator[Part]:
    """The dense and the pruned rows of each value. Raises UserError with the place of a value that is impossible."""
    block = file.three_regime
    assert block is not None
    if file.train.stop_epoch is not None:
        raise UserError(f"{source.place(['train', 'stop_epoch'])}: stop_epoch has no effect beside three_regime")
    for index, value in enumerate(block.values):
        try:
            train = _trained_as(file, block.knob, value)
            if both := train.model_fields_set & file.override.model_fields_set:
                raise ValueError(f"override.{min(both)} would replace what the knob {block.knob} changes")
        except ValueError as error:
            raise UserError(f"{source.place(['three_regime', 'values', index])}: {error}") from error
        yield Part(Entry(method=[DENSE], label=dense_label(block.knob, value)), ("three_regime",), train)
        entry = Entry(
            method=[block.method],
            sparsity=[round(1 - density, 12) for density in block.density],
            options=block.options,
            label=regime_label(block.knob, value),
        )
        yield Part(entry, ("three_regime",), train)


def _trained_as(file: StudyFile, knob: Knob, value: float) -> TrainFile:
    """What the value of a knob changes in the dense recipe."""
    if knob == "lr":
        return TrainFile(lr=value)
    if value != int(value) or value < 1:
        raise ValueError(f"{knob} is {value:g}; it must be a whole number of at least 1")
    whole = int(value)
    epochs = file.override.epochs or file.train.epochs or 0
    if knob == "batch_size":
        return _scaled(file, epochs_of_batch(file, epochs, whole), epochs).model_copy(update={"batch_size": whole})
    if whole > epochs:
        raise ValueError(f"{whole} epochs are more than the {epochs} of train.epochs")
    return TrainFile(stop_epoch=whole) if knob == "epochs" else _scaled(file, whole, epochs)


def epochs_of_batch(file: StudyFile, epochs: int, batch_size: int) -> int:
    """Epochs with at least as many steps as `epochs` of the recipe's own batch size; only full batches count.

    In the paper, 62,400 steps are 20, 40, 80, 160, 320 and 644 epochs at batch sizes 16 to 512. Raises ValueError where
    the number of training samples is not known, or smaller than the batch.
    """
    from ...datasets.registry import train_size

    samples = train_size(file.dataset.name, file.validation, **file.dataset.options)
    own = file.train.batch_size or 128
    if samples is None:
        raise ValueError(f"batch_size needs the number of training samples, which {file.dataset.name} does not tell")
    if samples < max(batch_size, own):
        raise ValueError(f"batch size {max(batch_size, own)} is more than the {samples} training samples")
    return math.ceil(epochs * (samples // own) / (samples // batch_size) - 1e-9)


def _scaled(file: StudyFile, epochs: int, own: int) -> TrainFile:
    """Other epochs, and milestones at the same fractions of them: the first epoch that begins at one or later."""
    if file.train.step_epochs is not None:
        raise ValueError("the schedule is scaled by its milestones; give milestones in place of step_epochs")
    if not file.train.milestones:
        return TrainFile(epochs=epochs)
    return TrainFile(
        epochs=epochs, milestones=[math.ceil(each * epochs / own - 1e-9) for each in file.train.milestones]
    )
