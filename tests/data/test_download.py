from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cnnatomy.data import builtin, load
from cnnatomy.data.data_catalog import SOURCES, Remote
from cnnatomy.data.pictures import silent
from cnnatomy.errors import DataError
from cnnatomy.files.download import OfflineError, fetch

from .makers import random_pixels

CONTENT = random_pixels(300_000).tobytes()


class Server(ThreadingHTTPServer):
    """Serves CONTENT, and misbehaves as its fields ask."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.cut_after: list[int] = []  # for the next answers: break off after so many bytes
        self.ranges = True
        self.wrong_range = False
        self.status = 0
        self.asked: list[str] = []

    def remote(self, path: str = "set/file.bin") -> Remote:
        url = f"http://127.0.0.1:{self.server_address[1]}/file.bin"
        return Remote(path, url, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range", "")
        server.asked.append(wanted)
        if server.status:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start + server.wrong_range}-{len(server.content) - 1}/*"
            )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_progress_counts_bytes(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None, str]] = []
    path = fetch(server.remote(), tmp_path, lambda *what: told.append(what))
    assert path == tmp_path / "set" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert told[-1] == ("fetching set/file.bin", len(CONTENT), len(CONTENT), "bytes")
    assert len(told) > 3
    fetch(server.remote(), tmp_path, silent)
    assert server.asked == [""]
    assert sorted(p.name for p in path.parent.iterdir() if p.suffix != ".lock") == ["file.bin"]


def test_a_transfer_that_breaks_off_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000]
    assert fetch(server.remote(), tmp_path, silent).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=150000-"]


def test_the_next_run_goes_on_from_the_part_that_is_there(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000] * 5
    with pytest.raises(OfflineError, match="broke off 5 times"):
        fetch(server.remote(), tmp_path, silent)
    assert (tmp_path / "set" / "file.bin.part").read_bytes() == CONTENT[:5000]
    assert not (tmp_path / "set" / "file.bin").exists()
    assert fetch(server.remote(), tmp_path, silent).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=5000-"


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut_after = False, [1000]
    assert fetch(server.remote(), tmp_path, silent).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1000-"]


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 7])
def test_a_part_of_another_file_is_thrown_away(server: Server, tmp_path: Path, length: int) -> None:
    part = tmp_path / "set" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(bytes(length))
    if length == len(CONTENT):
        with pytest.raises(DataError, match="not the known file; it was removed"):
            fetch(server.remote(), tmp_path, silent)
        assert not part.exists()
    assert fetch(server.remote(), tmp_path, silent).read_bytes() == CONTENT


def test_a_wrong_checksum_removes_what_came(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(
        DataError, match=r"not the known file; it was removed: expected SHA-256 \w{16}\.\.\., got \w{16}"
    ):
        fetch(server.remote(), tmp_path, silent)
    assert [path.suffix for path in (tmp_path / "set").iterdir()] == [".lock"]


def test_a_page_in_place_of_the_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(DataError, match=r"offers another file: expected 293.0 KiB, got 26 bytes"):
        fetch(server.remote(), tmp_path, silent)
    assert not (tmp_path / "set" / "file.bin.part").exists()


def test_answers_that_are_no_file(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(OfflineError, match="answers 404 Not Found"):
        fetch(server.remote(), tmp_path, silent)
    server.status, server.cut_after, server.wrong_range = 0, [1000], True
    with pytest.raises(OfflineError, match="another part than was asked for"):
        fetch(server.remote(), tmp_path, silent)


def test_offline_names_the_files_and_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCES["mnist"]
    files = tuple(Remote(f.path, "http://127.0.0.1:9/" + f.path, f.size, f.sha256) for f in source.files)
    nowhere = type(source)(source.name, source.summary, source.classes, source.reference, files)
    monkeypatch.setattr(builtin, "SOURCES", {"mnist": nowhere})
    with pytest.raises(DataError) as caught:
        load("mnist", size=(32, 32), channels=1, data_dir=tmp_path / "mine")
    assert str(caught.value) == (
        "mnist is not on this machine and cannot be fetched "
        "(http://127.0.0.1:9/mnist/train-images-idx3-ubyte.gz: [Errno 111] Connection refused); "
        "try again online, or put mnist/train-images-idx3-ubyte.gz, mnist/train-labels-idx1-ubyte.gz, "
        "mnist/t10k-images-idx3-ubyte.gz, mnist/t10k-labels-idx1-ubyte.gz into "
        f"{tmp_path / 'mine'} or {tmp_path / 'cache'}"
    )


def test_a_cache_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").touch()
    with pytest.raises(DataError, match=r"cannot write to .*set; try CNNATOMY_CACHE"):
        fetch(server.remote(), tmp_path, silent)


def test_every_address_is_encrypted_and_every_digest_whole() -> None:
    for source in SOURCES.values():
        for remote in source.files:
            assert remote.url.startswith("https://")
            assert remote.url.endswith(remote.path.rsplit("/", 1)[-1])
            assert len(bytes.fromhex(remote.sha256)) == 32
