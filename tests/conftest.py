"""What all tests share: no network, one thread, a tiny study."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: on a busy machine the time of an example means nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY_STUDY = """\
name: tiny
dataset: {name: digits, options: {limit: 300}}
model: convnet-small
seeds: [0]
train: {epochs: 3, batch_size: 50, lr: 0.1, weight_decay: 5e-4, nesterov: true}
finetune: {epochs: 3, lr: 0.05}
runs:
  - method: dense
  - method: [global_mp, snip]
    sparsity: [90%]
"""


@pytest.fixture
def tiny_study(tmp_path: Path) -> Path:
    """A study file of three runs of three epochs on 300 digits."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_STUDY, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to other machines are refused; local sockets (SLURM, a browser) are not network."""
    import socket

    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "127.0.0.1", "::1", socket.gethostname()):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(socket.socket, "connect", guarded)
