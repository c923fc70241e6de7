"""The keys of a study file and the values they may have, as typed models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..runs.run import DENSE, Precision
from ..runs.store import RESERVED


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _fraction(value: Any) -> Any:
    """`90%` is 0.9."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return round(float(value.strip()[:-1]) / 100, 12)
    return value


def _label_text(value: str) -> str:
    if not value.strip() or len(value.splitlines()) > 1:
        raise ValueError(f"a label is one line of text, not {value!r}")
    return value


Sparsity = Annotated[float, BeforeValidator(_fraction), Field(ge=0, lt=1)]

Density = Annotated[float, BeforeValidator(_fraction), Field(gt=0, lt=1)]

Seed = Annotated[int, Field(ge=0)]

Measure = Literal["lmc", "cka"]
"""Between two retrainings: linear mode connectivity, and how alike their outputs are."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RecipeFile(_Strict):
    """The keys of a recipe, all optional: missing ones are taken from the recipe that this one changes."""

    epochs: int | None = Field(default=None, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    optimizer: Literal["sgd", "adam"] | None = None
    lr: float | None = Field(default=None, gt=0)
    momentum: float | None = Field(default=None, ge=0, lt=1)
    nesterov: bool | None = None
    weight_decay: float | None = Field(default=None, ge=0)
    decay_norm: bool | None = None
    schedule: Literal["cosine", "step", "linear", "constant"] | None = None
    step_epochs: int | None = Field(default=None, ge=1)
    step_factor: float | None = Field(default=None, gt=0, le=1)
    milestones: list[int] | None = None
    warmup_epochs: int | None = Field(default=None, ge=0)
    lr_update: Literal["epoch", "step"] | None = None
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, ge=0)
    precision: Precision | None = None
    sync_batch_norm: bool | None = None


class TrainFile(RecipeFile):
    """The recipe of dense training, which may stop before its schedule ends."""

    stop_epoch: int | None = Field(default=None, ge=1)


class Named(_Strict):
    """A name with options: a data set or a model. A bare string is a name without options."""

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Entry(_Strict):
    """One line of the study's grid: methods x grid of options x sparsities x seeds.

    `model_options` add to those of the study; an entry with `not_run` is listed in the tables with that reason.
    """

    method: Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
    sparsity: Annotated[list[Sparsity], BeforeValidator(_as_list), Field(min_length=1)] = [0.0]
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    options: dict[str, Any] = {}
    model_options: dict[str, Any] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    finetune: RecipeFile = RecipeFile()
    scratch: RecipeFile = RecipeFile()
    label: Annotated[str, AfterValidator(_label_text)] | None = None
    not_run: str | None = None

    @model_validator(mode="after")
    def _options_once(self) -> Entry:
        if both := sorted(self.options.keys() & self.grid.keys()):
            raise ValueError(f"{both[0]!r} is in options and in grid")
        return self


class ThresholdsFile(_Strict):
    """Thresholds of the regimes that a study declares; what is missing has the default of `analysis.connectivity`."""

    tau: float | None = Field(default=None, gt=0, lt=1)
    cka: float | None = Field(default=None, ge=0, le=1)
    failed: float | None = Field(default=None, gt=0, le=1)


Knob = Literal["epochs", "epochs-rescaled", "batch_size", "lr"]


class ThreeRegime(_Strict):
    """A knob of dense training crossed with densities, in place of `runs`; see docs/three-regime.md.

    `density` is the fraction left of the weights that the method prunes; its options say which layers these are.
    """

    knob: Knob
    values: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    density: Annotated[list[Density], Field(min_length=1)]
    method: str
    options: dict[str, Any] = {}
    thresholds: ThresholdsFile = ThresholdsFile()

    @model_validator(mode="after")
    def _each_once(self) -> ThreeRegime:
        for name in ("values", "density"):
            if (twice := _repeated(getattr(self, name))) is not None:
                raise ValueError(f"{twice:g} stands twice in {name}")
        if self.method == DENSE:
            raise ValueError("method must prune; each value has its dense training anyway")
        return self


def _repeated(values: Sequence[float]) -> float | None:
    return next((value for index, value in enumerate(values) if value in values[:index]), None)


class StudyFile(_Strict):
    """The keys of a study file.

    `train` is the dense recipe. `finetune` (for methods that start from trained weights) and `scratch` (for those that
    start from initialisation) replace some of its keys, and those of an entry replace keys of both. `override` replaces
    keys of all recipes: the smoke version of a study sets its epochs there.

    Each run that is not dense is computed once for each of `retrain_seeds`. `measure` names what is measured between
    pairs of such runs, and makes them keep their weights.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    title: str = ""
    question: str = ""
    dataset: Named
    model: Named
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1)
    retrain_seeds: list[Seed] = Field(default=[0], min_length=1)
    measure: Annotated[list[Measure], BeforeValidator(_as_list)] = []
    validation: float = Field(default=0.1, ge=0, lt=1)
    train: TrainFile
    finetune: RecipeFile = RecipeFile()
    scratch: RecipeFile = RecipeFile()
    override: RecipeFile = RecipeFile()
    runs: list[Entry] = []
    three_regime: ThreeRegime | None = None
    published: int | None = None

    @model_validator(mode="after")
    def _not_reserved(self) -> StudyFile:
        if self.name in RESERVED:
            raise ValueError(f"name {self.name!r} is reserved; choose another")
        if self.train.epochs is None:
            raise ValueError("train.epochs is missing")
        return self

    @model_validator(mode="after")
    def _has_rows(self) -> StudyFile:
        if bool(self.runs) == (self.three_regime is not None):
            raise ValueError("a study has either runs or three_regime" if self.runs else "'runs' is missing or empty")
        return self
