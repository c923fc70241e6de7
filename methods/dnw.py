"""DNW: discovering neural wirings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .dpf import DPF


@dataclass(kw_only=True)
class DNW(DPF):
    """Use the largest weights of each layer in every forward pass, train all. Wortsman et al., 2019 (arXiv 1906.00586).

    DPF with masks renewed after every step and the sparsity constant from the first: the paper's algorithm. The total
    is exact; the authors' code rounds each layer down, up to one weight a layer more.
    """

    label: ClassVar[str] = "DNW"
    paper: ClassVar[str] = "arXiv 1906.00586"
    search_space: ClassVar[dict[str, object]] = {}

    schedule: Literal["one_shot", "cubic"] = "one_shot"
    every: Annotated[int, Field(ge=0)] = 1
