"""The keys of a study file and the values they may have, as typed models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from ..runs.run import DENSE
from ..runs.store import RESERVED
from .names import STRICT, Named, as_list
from .recipe_schema import RecipeFile, TrainFile
from .tune_schema import TuneFile


def _fraction(value: Any) -> Any:
    """`90%` is 0.9."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return round(float(value.strip()[:-1]) / 100, 12)
    return value


def _label_text(value: str) -> str:
    if not value.strip() or len(value.splitlines()) > 1:
        raise ValueError(f"a label is one line of text, not {value!r}")
    return value


def _share(value: float) -> float:
    """A percentage without its sign would be a share of many times all weights."""
    if not 0 <= value < 1:
        meant = f"; write {value:g}% or {value / 100:g}" if 1 < value < 100 else ""
        raise ValueError(f"a sparsity is a share >= 0 and < 1, or a percentage such as 90%, not {value:g}{meant}")
    return value


Sparsity = Annotated[float, BeforeValidator(_fraction), AfterValidator(_share), Field(ge=0, lt=1)]

Density = Annotated[float, BeforeValidator(_fraction), Field(gt=0, lt=1)]

Seed = Annotated[int, Field(ge=0)]

Measure = Literal["lmc", "cka"]
"""Between two retrainings: linear mode connectivity, and how alike their outputs are."""


class _Strict(BaseModel):
    model_config = STRICT


class Entry(_Strict):
    """One line of the study's grid: methods x grid of options x sparsities x seeds.

    `model_options` add to those of the study; an entry with `not_run` is listed in the tables with that reason.
    """

    method: Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]
    """One name or a list."""
    sparsity: Annotated[list[Sparsity], BeforeValidator(as_list), Field(min_length=1)] = [0.0]
    """Share of the weights that are removed: 0.9 or 90%; one or a list."""
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    """Instead of those of the study."""
    options: dict[str, Any] = {}
    """Options of the methods, as `prunebench show METHOD` prints them."""
    model_options: dict[str, Any] = {}
    """Options of the network, added to those of the study."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Options with a list of values each: a row for each combination."""
    finetune: RecipeFile = RecipeFile()
    """Keys of the recipe that differ in this entry, for methods that start from trained weights."""
    scratch: RecipeFile = RecipeFile()
    """The same for methods that start from initialisation."""
    label: Annotated[str, AfterValidator(_label_text)] | None = None
    """Name of the row in tables, instead of the method's with its options."""
    macs_share: float | None = Field(default=None, gt=0)
    """With `budget` in macs: multiply-adds of an epoch as a share of the dense network's, mean over the training."""
    not_run: str | None = None
    """A reason: the entry is not run, and tables list it with the reason."""

    @model_validator(mode="after")
    def _options_once(self) -> Entry:
        if both := sorted(self.options.keys() & self.grid.keys()):
            raise ValueError(f"{both[0]!r} is in options and in grid")
        return self


class ThresholdsFile(_Strict):
    """Thresholds of the regimes that a study declares; what is missing has the default of `analysis.connectivity`."""

    tau: float | None = Field(default=None, gt=0, lt=1)
    """Regime I: linear mode connectivity below minus this share of the training samples."""
    cka: float | None = Field(default=None, ge=0, le=1)
    """Regime II-B: outputs at least as alike as this."""
    failed: float | None = Field(default=None, gt=0, le=1)
    """No regime: a training error above this share of that of guessing."""


class Budget(_Strict):
    """The same cost of training for every row that prunes; the epochs of `finetune` and `scratch` follow from it."""

    unit: Literal["epochs", "macs"]
    """What is equal: epochs, or multiply-adds where those with pruned weights do not count."""
    total: float = Field(gt=0)
    """In epochs of the dense network."""
    dense: Literal["included", "excluded"] = "included"
    """Whether the dense training that a row starts from counts."""


class Controls(_Strict):
    """Rows that a row has to beat before its result means what it claims; see docs/fair.md."""

    of: str
    """The row in question: its label, or its method if that has one row."""
    require: Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]
    """Kinds of controls that the study must have: random_erk, shuffled, reinit, small_dense, dense_longer."""


Knob = Literal["epochs", "epochs-rescaled", "batch_size", "lr"]


class ThreeRegime(_Strict):
    """A knob of dense training crossed with densities, in place of `runs`; see docs/three-regime.md.

    `density` is the fraction left of the weights that the method prunes; its options say which layers these are.
    """

    knob: Knob
    """What `values` change of dense training."""
    values: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    """Of the knob, one dense training for each."""
    density: Annotated[list[Density], Field(min_length=1)]
    """Fractions left of the weights that the method prunes."""
    method: str
    """What prunes, one-shot after dense training."""
    options: dict[str, Any] = {}
    """Of the method."""
    thresholds: ThresholdsFile = ThresholdsFile()
    """Where one regime ends."""

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
    keys of all recipes: the smoke version of a study sets its epochs there. `claims` are tested by `prunebench claim`.

    Each run that is not dense is computed once for each of `retrain_seeds`. `measure` names what is measured between
    pairs of such runs, and makes them keep their weights.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    """Of its folder in the results."""
    plugins: Annotated[list[str], BeforeValidator(as_list)] = []
    """Python files with methods of your own, relative to the folder of the study."""
    title: str = ""
    """Heading of the report."""
    question: str = ""
    """What the study is to answer; shown in the report."""
    dataset: Named
    """A name, or `{name: ..., options: {...}}`."""
    model: Named
    """A name, or `{name: ..., options: {...}}`."""
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1)
    """A run for each: initialisation, order of the data and random numbers of methods."""
    retrain_seeds: list[Seed] = Field(default=[0], min_length=1)
    """Of each run that is not dense: other orders of data and noise, with the same start and the same mask."""
    measure: Annotated[list[Measure], BeforeValidator(as_list)] = []
    """What is measured between retrainings: linear mode connectivity, and how alike their outputs are."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of the training set that is held out to select an epoch."""
    train: TrainFile
    """The recipe of the dense training."""
    finetune: RecipeFile = RecipeFile()
    """Keys that differ from `train` for methods that start from trained weights."""
    scratch: RecipeFile = RecipeFile()
    """Keys that differ from `train` for methods that start from initialisation."""
    override: RecipeFile = RecipeFile()
    """Keys that replace those of all recipes."""
    runs: list[Entry] = []
    """The grid; see the next section."""
    three_regime: ThreeRegime | None = None
    """In place of `runs`: a knob of dense training crossed with densities; see docs/three-regime.md."""
    tune: TuneFile | None = None
    """How the values of each row are searched for before it is evaluated; see docs/tuning.md."""
    published: int | None = None
    """Number of the paper's table with which `table --against published` compares."""
    budget: Budget | None = None
    """The same cost of training for every row; see docs/fair.md."""
    controls: Controls | None = None
    """Controls that must be there, and that the report compares a row with; see docs/fair.md."""
    claims: list[str] = []
    """What `prunebench claim` tests: `A >= B at 90%, 95% within 0.5`."""

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
        if self.tune is not None and self.three_regime is not None:
            raise ValueError("tune goes with runs, not with three_regime")
        if self.tune is not None and self.validation == 0:
            raise ValueError("tune chooses by the validation split, and validation is 0")
        return self
