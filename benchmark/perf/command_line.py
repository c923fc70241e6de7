"""Command lines of the scripts: what is wrong is said in one line, with exit code 2, before anything is measured."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import NoReturn

import torch

from ..api.errors import UserError
from ..training.setup import choose_device
from .side_by_side import CPU


class Parser(argparse.ArgumentParser):
    """Takes the docstring of a script, and adds `--device`."""

    def __init__(self, doc: str | None, device: str = str(CPU)) -> None:
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument("--device", type=_device, default=device)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def _device(text: str) -> torch.device:
    try:
        return choose_device(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def sparsity(text: str) -> float:
    """At least 0 and less than 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 0 and less than 1")
    return value


def several(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Comma-separated names; without any, all that are known."""
    names = list(dict.fromkeys(known))

    def parse(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not known; one of {', '.join(names)}")
        return chosen or names

    return parse
