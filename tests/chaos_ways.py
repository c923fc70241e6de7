"""The ways in which the faults of `chaos_files` damage a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from chaos_round import Round
from safetensors.numpy import load_file, save_file

Way = Callable[[Round, Path], bool]
"""Damage a file. Returns whether there was something to damage."""


def _put(content: bytes) -> Way:
    def write(state: Round, path: Path) -> bool:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return True

    return write


def zero_bytes(state: Round, path: Path) -> bool:
    """Up to 512 bytes at a random place, or half of a smaller file, as on a disk that lost a block."""
    content = bytearray(path.read_bytes())
    num_zeros = min(512, (len(content) + 1) // 2)
    begin = state.chance.randint(0, len(content) - num_zeros)
    content[begin : begin + num_zeros] = bytes(num_zeros)
    has_changed = content != path.read_bytes()
    path.write_bytes(content)
    return has_changed


def cut(state: Round, path: Path) -> bool:
    content = path.read_bytes()
    path.write_bytes(content[: state.chance.randrange(max(1, len(content)))])
    return True


def fill_with_noise(state: Round, path: Path) -> bool:
    path.write_bytes(state.chance.randbytes(1000))
    return True


def delete(state: Round, path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


def take_of_another_run(state: Round, path: Path) -> bool:
    """The file of the same name of another run."""
    others = [other for other in state.results.rglob(path.name) if other.parent != path.parent]
    if not others:
        return False
    shutil.copy(state.chance.choice(sorted(others)), path)
    return True


def name_another_run(state: Round, path: Path) -> bool:
    """A whole checkpoint, but not of the run whose folder it is in."""
    own = path.parent.name
    other = next((folder.name for folder in state.run_folders() if folder.name != own), None)
    if other is None:
        return False
    path.write_bytes(path.read_bytes().replace(own.encode(), other.encode(), 1))
    return True


def take_other_tensors(state: Round, path: Path) -> bool:
    """As of another seed: the same layers and the same size."""
    before = load_file(path)
    after = {name: np.roll(value, 1) for name, value in before.items()}
    save_file(after, path)
    return any((after[name] != value).any() for name, value in before.items())


def tear_last_line(state: Round, path: Path) -> bool:
    with path.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 1, "trai')
    return True


def put_folder(state: Round, path: Path) -> bool:
    path.unlink(missing_ok=True)
    path.mkdir()
    return True


BYTES: Mapping[str, Way] = {"zeroed": zero_bytes, "cut": cut, "empty": _put(b""), "noise": fill_with_noise}
JSON: Mapping[str, Way] = {
    **BYTES,
    "list": _put(b"[]"),
    "number": _put(b"3"),
    "null": _put(b"null"),
    "object": _put(b'{"schema": 1}'),
}
TENSORS: Mapping[str, Way] = {**BYTES, "other tensors": take_other_tensors, "deleted": delete}
OTHER: Mapping[str, Way] = {"another run's": take_of_another_run, "deleted": delete}


def damage(state: Round, path: Path, ways: Mapping[str, Way]) -> str:
    """Damage a file in one of the ways, chosen at random. Returns its name."""
    name = state.chance.choice(sorted(ways))
    return name if ways[name](state, path) else ""


def made(ways: Mapping[str, Way]) -> Mapping[str, Way]:
    """The ways that create a file where there is none."""
    return {name: way for name, way in ways.items() if name not in ("zeroed", "cut")}
