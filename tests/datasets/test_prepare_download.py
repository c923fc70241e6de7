"""Download with resume and checksum, and files taken by hand. The only server is one that the tests start here."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets.parts.download import Remote, download, take

CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def silent(line: str) -> None:
    pass


class Server:
    """Serves `files` and notes each request as (path, Range header); breaks off after `most` bytes, if set."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.most: int | None = None
        self.knows_ranges = True
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.requests.append((request.path.lstrip("/"), wanted))
        content = self.files.get(request.path.lstrip("/"))
        if content is None:
            request.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.knows_ranges else 0
        if wanted and start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        request.wfile.write(content[start:][: self.most])

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    running.files["set.bin"] = CONTENT
    yield running
    running.close()


def remote(server: Server, *, checksum: str | None = None) -> Remote:
    return Remote(name="set.bin", urls=(f"{server.url}set.bin",), checksums=(checksum or md5(CONTENT),))


def test_download(server: Server, tmp_path: Path) -> None:
    lines: list[str] = []
    assert download("toy", remote(server), tmp_path / "new", lines.append).read_bytes() == CONTENT
    assert lines == [f"fetching {server.url}set.bin (0.3 MB)"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set.bin"]


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        download("toy", remote(server), tmp_path, silent)
    assert len(server.requests) == 1
    (tmp_path / "set.bin").write_bytes(CONTENT[:-1])
    assert download("toy", remote(server), tmp_path, silent).read_bytes() == CONTENT


def test_a_lost_connection_is_continued_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.most = 100_000
    with pytest.raises(DataMissing, match="connection lost after 100000 of 300000 bytes"):
        download("toy", remote(server), tmp_path, silent)
    assert not (tmp_path / "set.bin").exists()
    server.most = None
    lines: list[str] = []
    assert download("toy", remote(server), tmp_path, lines.append).read_bytes() == CONTENT
    assert server.requests[-1] == ("set.bin", "bytes=100000-")
    assert lines[0].startswith("continuing")


def test_a_server_without_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.bin.part").write_bytes(b"something old")
    server.knows_ranges = False
    lines: list[str] = []
    assert download("toy", remote(server), tmp_path, lines.append).read_bytes() == CONTENT
    assert lines == [f"fetching {server.url}set.bin (0.3 MB)"]


def test_a_part_that_is_too_long_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.bin.part").write_bytes(CONTENT + b"more")
    assert download("toy", remote(server), tmp_path, silent).read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the published file, removed: it has md5:"):
        download("toy", remote(server, checksum="md5:" + "0" * 32), tmp_path, silent)
    assert [*tmp_path.iterdir()] == []


def test_any_of_several_checksums_will_do(server: Server, tmp_path: Path) -> None:
    checksums = ("md5:" + "0" * 32, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    several = replace(remote(server), checksums=checksums)
    assert download("toy", several, tmp_path, silent).read_bytes() == CONTENT


def test_the_next_address_is_tried(server: Server, tmp_path: Path) -> None:
    several = replace(remote(server), urls=(f"{server.url}gone.bin", f"{server.url}set.bin"))
    assert download("toy", several, tmp_path, silent).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["gone.bin", "set.bin"]


def test_without_a_network_the_way_by_hand_is_named(server: Server, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(DataMissing, match="prunebench prepare toy --from FILE") as caught:
        download("toy", remote(server), tmp_path, silent)
    assert "\n" not in str(caught.value)


def test_a_file_taken_by_hand_is_compared(server: Server, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(CONTENT)
    assert take(tmp_path / "copy", remote(server)) == tmp_path / "copy"
    (tmp_path / "copy").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=r"copy is not set.bin, or is truncated: it has md5:.*; published: md5:"):
        take(tmp_path / "copy", remote(server))
    with pytest.raises(UserError, match="is not a file"):
        take(tmp_path, remote(server))


def left_behind(root: Path) -> list[str]:
    """What a preparation leaves in the root besides the data; it should leave nothing."""
    return [path.name for path in root.iterdir() if path.name.startswith(".") and path.name != ".downloads"]
