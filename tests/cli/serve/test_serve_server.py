"""What the server answers, to whom, and what it never does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals.cli import main
from vision_evals.cli.serve import server as server_module
from vision_evals.cli.serve.folder import Folder
from vision_evals.cli.serve.pages import Pages
from vision_evals.cli.serve.server import Server

Serving = Callable[..., Any]


@pytest.fixture
def folder(made: ModuleType, tmp_path: Path) -> Path:
    runs = [made.run(day, made.item("net", made.metric(0.5 + day / 100))) for day in (1, 2)]
    folder: Path = made.keep(tmp_path / "runs", *runs)
    (tmp_path / "secret.txt").write_text("secret")
    return folder


def listing(folder: Path) -> list[tuple[str, int, int]]:
    found = [folder, *folder.rglob("*")]
    return sorted((str(f), f.lstat().st_mtime_ns, f.lstat().st_size) for f in found)


def test_the_index_and_each_report_are_pages(folder: Path, serving: Serving) -> None:
    client = serving(folder)
    answer, html = client.ask("/")
    assert answer.status == 200
    links = re.findall(r'href="(/run/[^"]+)"', html)
    assert links == ["/run/20261102T081720-7f3a/", "/run/20261101T081720-7f3a/"], "newest first"
    for link in (*links, links[0].rstrip("/"), f"{links[0]}?again"):
        answer, html = client.ask(link)
        assert answer.status == 200
        assert "The one judged check passed." in html
    assert "20261102T081720-7f3a" in client.ask(links[0])[1]


def test_every_answer_says_what_a_browser_may_do(folder: Path, serving: Serving) -> None:
    client = serving(folder)
    for path in ("/", "/run/20261102T081720-7f3a/", "/none"):
        answer, html = client.ask(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert int(answer.headers["Content-Length"]) == len(html.encode())
        policy = answer.headers["Content-Security-Policy"]
        if answer.status == 200:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            stated = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
            assert stated is not None
            assert policy == f"{unescape(stated[1])}; frame-ancestors 'none'"
        else:
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert policy.startswith("default-src 'none'")
        assert "Python" not in answer.headers["Server"]


def test_head_is_get_without_its_body(folder: Path, serving: Serving) -> None:
    client = serving(folder)
    got, html = client.ask("/")
    answer, text = client.ask("/", "HEAD")
    assert (answer.status, text) == (200, "")
    assert (
        answer.headers["Content-Length"] == got.headers["Content-Length"] == str(len(html.encode()))
    )
    assert client.ask("/none", "HEAD")[0].status == 404


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"]
)
def test_nothing_can_be_asked_but_to_read(folder: Path, serving: Serving, method: str) -> None:
    answer, text = serving(folder).ask("/", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert "nothing can be changed here" in text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8765", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8765", 403),
        ("localhost:evil", 403),
        ("user@localhost", 403),
        ("0.0.0.0", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_names_that_somebody_else_may_give_this_machine_are_refused(
    folder: Path, serving: Serving, host: str | None, status: int
) -> None:
    assert serving(folder).ask("/", host=host)[0].status == status


@pytest.mark.parametrize(
    ("site", "use", "status"),
    [
        ("none", "document", 200),
        ("same-origin", "document", 200),
        ("cross-site", "document", 200),
        ("cross-site", "iframe", 403),
        ("cross-site", "image", 403),
        ("cross-site", "empty", 403),
        ("same-site", "script", 403),
    ],
)
def test_pages_of_other_sites_may_lead_here_and_load_nothing(
    folder: Path, serving: Serving, site: str, use: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": use}
    assert serving(folder).ask("/", **headers)[0].status == status


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"version": ' + "1" * 6000 + "}", '{"version": NaN}', "[]"]
)
def test_a_log_that_cannot_be_read_hides_no_other(
    folder: Path, serving: Serving, text: str
) -> None:
    (folder / "hostile").mkdir()
    (folder / "hostile" / "run.json").write_text(text)
    client = serving(folder)
    answer, html = client.ask("/")
    assert answer.status == 200
    assert len(re.findall(r'href="(/run/[^"]+)"', html)) == 2
    assert client.ask("/run/hostile/")[1].startswith("not a ")


def test_numbers_beyond_all_measure_hide_no_run(
    made: ModuleType, folder: Path, serving: Serving
) -> None:
    wide = made.metric(0.5, low=-1.7e308, high=1.7e308)
    made.keep(folder, made.run(3, made.item("net", wide), seconds=-1e308))
    client = serving(folder)
    assert client.ask("/")[0].status == 200
    assert client.ask("/run/20261103T081720-7f3a/")[0].status == 200


def test_two_hosts_are_none(folder: Path, serving: Serving) -> None:
    with socket.create_connection(("127.0.0.1", serving(folder).port), timeout=60) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert raw.recv(20).startswith(b"HTTP/1.0 403 ")


@pytest.mark.parametrize("raw", [b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_what_is_no_request_is_refused_in_plain_text(
    folder: Path, serving: Serving, raw: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", serving(folder).port), timeout=60) as connection:
        connection.sendall(raw)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"<" not in answer
    assert b" 400 " in answer or b"Bad request" in answer


@pytest.mark.parametrize(
    "path",
    [
        "/..", "/../secret.txt", "/run/../secret.txt", "/run/..%2f..%2fsecret.txt",
        "/run/..%2F", "/run/%2e%2e/", "/run/%2e%2e%2fsecret.txt/", "/run/./", "/run/", "/run",
        "/run//", "/run/20261101T081720-7f3a/run.json", "/run/20261101T081720-7f3a/../",
        "/run/20261101T081720-7f3a%00/", "/run/%00", "/run.json", "/run/latest/", "/run/outside/",
        "/secret.txt", "//secret.txt", "http://localhost/", "/run/%ff/", "*", "/favicon.ico",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(folder: Path, serving: Serving, path: str) -> None:
    (folder / "latest").symlink_to("20261102T081720-7f3a")
    (folder / "outside").symlink_to(folder.parent)
    answer, text = serving(folder).ask(path)
    assert answer.status == 404
    assert "secret" not in text


def test_a_log_that_is_a_link_is_not_followed(
    made: ModuleType, folder: Path, serving: Serving
) -> None:
    (folder / "linked").mkdir()
    (folder / "linked" / "run.json").symlink_to(folder.parent / "secret.txt")
    os.mkfifo(folder / "piped-run")
    (folder / "piped").mkdir()
    os.mkfifo(folder / "piped" / "run.json")
    client = serving(folder)
    html = client.ask("/")[1]
    assert html.count("run.json is not a plain file") == 2
    answer, text = client.ask("/run/linked/")
    assert (answer.status, text) == (500, "run.json is not a plain file\n")


def test_nothing_is_written(folder: Path, serving: Serving) -> None:
    before = listing(folder)
    client = serving(folder)
    for path in ("/", "/run/20261101T081720-7f3a/", "/none"):
        client.ask(path)
    client.ask("/", "POST")
    assert listing(folder) == before


def test_names_of_directories_are_addresses_byte_for_byte(
    made: ModuleType, folder: Path, serving: Serving
) -> None:
    names = ["a b", 'q"><script>alert(1)</script>'.replace("/", "_"), "%2e%2e", "ä", "x?y#z", "a&b"]
    for name in names:
        (folder / "20261101T081720-7f3a").rename(folder / name)
        made.keep(folder, made.run(1))
    (folder / os.fsdecode(b"caf\xe9")).mkdir()
    (folder / os.fsdecode(b"caf\xe9") / "run.json").write_text("{")
    client = serving(folder)
    html = client.ask("/")[1]
    assert "<script>alert" not in html
    links = [unescape(link) for link in re.findall(r'href="(/run/[^"]+)"', html)]
    assert len(links) == len(names) + 2
    for link in links:
        assert re.fullmatch(r"/run/[\w.%~-]+/", link, re.ASCII)
        assert client.ask(link)[0].status == 200
    assert "a copy of 20261101T081720-7f3a" in html
    assert client.ask("/run/caf%E9/")[0].status == 500


def test_a_template_that_breaks_later_is_a_sentence(
    folder: Path, tmp_path: Path, serving: Serving
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "runs.html.jinja").write_text("{{ rows | length }} runs, and no more")
    client = serving(folder, own)
    assert client.ask("/")[1] == "2 runs, and no more"
    policy = client.ask("/")[0].headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"
    (own / "runs.html.jinja").write_text("\n{{ nothing }}")
    answer, text = client.ask("/")
    assert answer.status == 500
    assert text.startswith(f"{own / 'runs.html.jinja'}:2: 'nothing' is undefined")


def process(*arguments: str) -> subprocess.Popen[str]:
    code = "import sys; from vision_evals.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "serve", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_command_listens_on_loopback_and_ends_quietly(made: ModuleType, folder: Path) -> None:
    with process(str(folder), "--port", "0") as server:
        assert server.stdout is not None
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ shows ", server.stdout.readline())
        assert found is not None
        answer, html = made.Client(int(found[1])).ask("/")
        assert answer.status == 200
        assert "2 runs" in html
        server.send_signal(signal.SIGINT)
        try:
            out, err = server.communicate(timeout=60)
        finally:
            server.kill()
        assert (server.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", str(folder), "--port", port]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"evals: --port {port}: ")
    assert said.endswith("name another one, or 0 for any free port\n")
    with pytest.raises(SystemExit, match="2"):
        main(["serve", str(folder), "--port", "70000"])


def test_folders_that_hold_no_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for place, said in (
        ("none", "none: No such file or directory; name a folder that holds runs"),
        ("empty", "empty: holds no runs; name the folder that pytest --evals-run-dir names"),
        ("secret.txt", "secret.txt: Not a directory; name a folder that holds runs"),
        ("runs/20261101T081720-7f3a", "is a run; name the folder it is in, or try evals report"),
    ):
        assert main(["serve", str(tmp_path / place), "--port", "0"]) == 1
        assert said in capsys.readouterr().err


def test_starting_loads_no_torch_and_no_charts() -> None:
    code = (
        "import sys, vision_evals.cli.serve.server;"
        "print({'torch', 'pandas', 'pyarrow', 'vl_convert'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_two_hundred_at_once_are_all_answered(folder: Path) -> None:
    server = Server(Pages(Folder(folder)), 0)  # nothing is accepted yet: all of them wait
    with contextlib.ExitStack() as opened:
        opened.callback(server.server_close)
        waiting = [
            opened.enter_context(socket.create_connection(("127.0.0.1", server.server_port), 10))
            for _ in range(200)
        ]
        for connection in waiting:
            connection.sendall(b"GET /none HTTP/1.0\r\nHost: localhost\r\n\r\n")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        opened.callback(server.shutdown)
        assert {connection.recv(13) for connection in waiting} == {b"HTTP/1.0 404 "}


def test_a_byte_now_and_then_does_not_hold_a_connection(
    folder: Path, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No single wait is long; the request as a whole is."""
    monkeypatch.setattr(server_module, "_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", serving(folder).port), timeout=60) as connection:
        connection.settimeout(0.02)
        sent, answer = 0, None
        while answer is None:
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(13)
            with contextlib.suppress(ConnectionError):
                sent += connection.send(b"G")
    assert sent > 3
    assert not answer or b" 200 " not in answer
