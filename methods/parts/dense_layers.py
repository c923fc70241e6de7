"""Which layers a method leaves dense, by keyword or by name pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ...benchmark.api.sites import Site

KEYWORDS: tuple[str, ...] = ("first", "last", "depthwise", "shortcut")


def select(sites: Sequence[Site], dense: Sequence[str]) -> tuple[Site, ...]:
    """The sites that are pruned when those matching `dense` are not.

    An entry is a keyword (`first`, `last`: in traversal order; `depthwise`; `shortcut`: a 1x1 convolution on a
    residual's side path, by its name) or a pattern of site names such as `layer1.*`. One that matches nothing is an
    error, so that a misspelt name never counts as an exclusion.
    """
    if not sites:
        raise ValueError("the network has no layer to prune: no convolution or linear layer whose weight is trained")
    left_dense: set[str] = set()
    for entry in dense:
        matched = {site.name for index, site in enumerate(sites) if _matches(site, index, len(sites), entry)}
        if not matched:
            names = ", ".join(site.name for site in sites[:3])
            raise ValueError(
                f"dense: {entry!r} matches no layer; use {', '.join(KEYWORDS)} or a pattern of names such as {names}"
            )
        left_dense |= matched
    chosen = tuple(site for site in sites if site.name not in left_dense)
    if not chosen:
        raise ValueError(f"dense: {list(dense)} leaves no layer to prune")
    return chosen


def _matches(site: Site, index: int, count: int, entry: str) -> bool:
    if entry == "first":
        return index == 0
    if entry == "last":
        return index == count - 1
    if entry == "depthwise":
        return site.is_depthwise
    if entry == "shortcut":
        return any(word in site.name for word in ("shortcut", "downsample"))
    return fnmatchcase(site.name, entry)
