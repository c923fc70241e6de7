"""A small study with two stored networks, its release, and a mirror of it on this machine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings

DENSE = Run(
    dataset="digits", dataset_options=frozen_options({"limit": 100}), model="convnet-small", method="dense", seed=3,
    model_options=frozen_options({"width": 4}), recipe=Recipe(epochs=1, batch_size=50, lr=0.1),
)  # fmt: skip
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)
STUDY = """
name: small
dataset: {name: digits, options: {limit: 100}}
model: {name: convnet-small, options: {width: 4}}
seeds: [3]
train: {epochs: 1, batch_size: 50, lr: 0.1}
runs:
  - {method: dense}
  - {method: global_mp, sparsity: [90%]}
  - {method: global_mp, sparsity: [90%], label: Global MP (per layer), options: {scope: layerwise}}
"""
BASE = "digits/convnet-small"
NAME = f"{BASE}/global_mp/90/3"


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export-zoo", *map(str, arguments)])


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study's file and results: two of its three runs, with weights."""
    folder = tmp_path_factory.mktemp("computed")
    (folder / "small.yaml").write_text(STUDY, encoding="utf-8")
    for run in (DENSE, PRUNED):
        assert attempt(run, "small", Settings(results=folder / "results", keep_weights=True)).outcome == "done"
    return folder


@pytest.fixture(scope="module")
def release(computed: Path) -> Path:
    done = export(computed / "release", computed / "small.yaml", "--results", computed / "results", "--license", "mit")
    assert done.exit_code == 0, done.output
    assert "small: 1 runs are not stored; --run computes them" in done.stderr
    assert "wrote 2 networks to" in done.stderr
    return computed / "release"


class Mirror(ThreadingHTTPServer):
    """A web server on this machine that counts what is fetched."""

    def __init__(self, folder: Path) -> None:
        self.fetched: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        assert isinstance(self.server, Mirror)
        self.server.fetched.append(self.path)


@pytest.fixture
def mirror(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Of a copy of the release, with a cache of its own."""
    monkeypatch.setenv("PRUNEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    shutil.copytree(release, tmp_path / "served")
    with Mirror(tmp_path / "served") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
