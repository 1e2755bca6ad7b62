"""The server as hostile pages, hasty scripts and slow clients meet it."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from lab import serving
from lab.serving import get, request

from cnnatomy.cli import main

SAFE = {"content-security-policy", "x-content-type-options", "referrer-policy", "cache-control"}
WORDS = (
    *(
        "",
        "0",
        "-1",
        "3",
        "3x3",
        "1e309",
        "nan",
        "%00",
        "💥",
        "../../etc/passwd",
        "<script>",
        "' OR 1=1",
        "x" * 3000,
    ),
    *(
        "pool",
        "soft",
        "convolve",
        "resize",
        "covariance",
        "pyramid",
        "9" * 40,
        "1 2; 3 4",
        "1,2,3",
        "[1]",
        "__class__",
    ),
)
NAMES = (
    "op",
    "x",
    "kernel",
    "stride",
    "padding",
    "reducer",
    "region",
    "at",
    "cell",
    "grad",
    "mode",
    "by.p",
    "evil",
)


def test_pages_are_safe_and_nothing_else_is_there(port: int) -> None:
    asked = f"GET /numbers HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(asked.encode())
        head = b"".join(iter(lambda: connection.recv(65536), b"")).split(b"\r\n\r\n")[0].decode()
    assert {line.split(":")[0] for line in head.split("\r\n")} >= SAFE
    assert "default-src 'self'" in head
    for path in (
        "/nothing",
        "/numbers/nothing",
        "/static/../server.py",
        "/static/lab.py",
        "/numbers/save.py",
    ):
        assert get(port, path)[0] == 404
    assert get(port, "/static/lab.js")[0] == 200
    assert request(port, "DELETE", "/numbers")[0] == 405


def test_foreign_hosts_and_origins_are_refused(port: int) -> None:
    own = f"http://127.0.0.1:{port}"
    for headers, status in (
        ({"Host": "evil.example"}, 403),
        ({"Host": f"127.0.0.1.evil.example:{port}"}, 403),
        ({"Host": f"127.0.0.1:{port + 1}"}, 403),
        ({"Host": f"localhost:{port}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://127.0.0.1:{port}"}, 403),
        ({"Origin": own}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
    ):
        assert get(port, "/numbers", headers=headers)[0] == status, headers


def test_a_token_guards_what_others_can_reach() -> None:
    with serving.lab("--host", "127.0.0.1") as (port, address, _):
        token = address.rpartition("=")[2]
        assert len(token) >= 32
        assert get(port, "/numbers")[0] == 403
        assert get(port, "/numbers", {"token": "x"})[0] == 403
        assert get(port, "/numbers", {"token": token})[0] == 303
        assert (
            get(port, "/numbers", headers={"Cookie": f"cnnatomy-lab={token}", "Origin": "http://a"})[0] == 403
        )


def test_bounds_are_held_before_any_work(port: int) -> None:
    assert get(port, "/numbers", {"x": "1" * 40_000})[0] == 414
    assert request(port, "POST", "/pictures", b"x" * 9_000_000)[0] == 413
    status, said = get(port, "/numbers", {"padding": "999999999"})
    assert (status, "padding: expected 0 .. 16" in said) == (200, True)
    assert get(port, "/numbers/save.svg", {"kernel": "-1"})[0] == 422


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_odd_requests_and_a_hundred_at_once(count: int) -> None:
    draw = random.Random(0)
    with serving.lab() as (port, _, process):
        assert get(port, "/numbers")[0] == 200
        before = serving.memory(process.pid)
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        for one in slow:
            one.sendall(b"POST /pictures HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n")
        paths = (
            "/numbers",
            "/numbers/check",
            "/numbers/save.svg",
            "/static/",
            "/pictures",
            "/",
            "/..",
            "/network",
        )

        def odd(_: int) -> int:
            query = "&".join(
                f"{draw.choice(NAMES)}={quote(draw.choice(WORDS))}" for _ in range(draw.randrange(5))
            )
            return request(port, draw.choice(("GET", "GET", "POST")), f"{draw.choice(paths)}?{query}")[0]

        def plain(number: int) -> int:
            return get(port, "/numbers", {"seed": str(number)})[0]

        with ThreadPoolExecutor(8) as some, ThreadPoolExecutor(100) as many:
            statuses = list(some.map(odd, range(count)))
            assert set(many.map(plain, range(100))) == {200}
        assert max(statuses) < 500
        assert serving.memory(process.pid) - before < 150 * 2**20
        for one in slow:
            one.close()


def test_it_is_ready_soon_and_ends_with_its_worker() -> None:
    with serving.lab() as (port, _, process):
        assert get(port, "/numbers")[0] == 200
        spent = sum(_seconds(one) for one in serving.family(process.pid))
        workers = serving.family(process.pid)[1:]
        assert workers
    assert process.wait(20) is not None
    assert spent < 6  # of processor time: with two idle cores the page is there in half of that
    time.sleep(0.2)
    assert not [one for one in workers if Path(f"/proc/{one}").exists()]


def _seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_without_its_packages_the_command_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnnatomy.cli.lab.find_spec", lambda name: None)
    assert main(["lab"]) == 2
    assert "pip install 'cnnatomy[lab]'" in capsys.readouterr().err
    for words, said in ((["--port", "99999"], "65535"), (["nowhere"], "no such run")):
        monkeypatch.undo()
        assert main(["lab", *words]) == 2
        assert said in capsys.readouterr().err


def test_the_server_loads_no_torch() -> None:
    code = "import sys, cnnatomy.lab.server; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_check_says_how_far_they_agree(port: int) -> None:
    said = json.loads(get(port, "/numbers/check", {"reducer": "soft"})[1])
    assert said["error"] == ""
    assert [line.rpartition(" to ")[0] or line for line in said["lines"]]
