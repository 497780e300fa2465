# SPDX-License-Identifier: GPL-3.0-or-later
"""What measures gaps: what the load sees of a server, what wrk says, and what is too much."""

from __future__ import annotations

import contextlib
import http.server
import pathlib
import socket
import threading
import time
import typing as t

import pytest
from gap import BACK, RESTART, UPGRADE, Figures, too_much
from load import Load
from wrk import Wrk

AWAY = 0.3

_QUIET = """Running 1s test @ http://127.0.0.1:8091/
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   118.96us  113.13us   3.37ms   98.46%
    Req/Sec    12.46k     2.01k   16.10k    54.55%
  13641 requests in 1.10s, 4.16MB read
Requests/sec:  12404.02
"""
_LOUD = """Running 8s test @ http://127.0.0.1:8091/
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.45ms    4.01ms   1.20s    97.26%
  43849 requests in 8.01s, 12.53MB read
  Socket errors: connect 0, read 14, write 367, timeout 2
  Non-2xx or 3xx responses: 5
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"one")

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def serving(handler: type[Handler], port: int = 0) -> t.Iterator[int]:
    """Have a server; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_server_that_answers(keep_alive: bool) -> None:
    with serving(Handler) as port:
        load = Load(f"127.0.0.1:{port}", "http", keep_alive=keep_alive)
        with load:
            time.sleep(AWAY)
            seen = load.stop()
    assert seen.failed == {}
    assert seen.answers == {"one": seen.requests}
    assert seen.requests > 20
    assert seen.gap < seen.ended - seen.began


def test_a_server_that_goes_and_comes_back() -> None:
    with contextlib.ExitStack() as load_ends, contextlib.ExitStack() as server_ends:
        port = server_ends.enter_context(serving(Handler))
        load = load_ends.enter_context(Load(f"127.0.0.1:{port}", "http"))
        server_ends.close()
        gone = time.monotonic()
        time.sleep(AWAY)
        back = time.monotonic()
        with serving(Handler, port):
            seen = load.stop()
    assert seen.failed["refused"] > 10
    # An answer may lie there for a moment, unread, when the server is gone.
    assert seen.gap >= 0.8 * (back - gone)
    assert seen.gap_began < (gone + back) / 2 < back <= seen.gap_began + seen.gap


@contextlib.contextmanager
def answering(answer: t.Callable[[threading.Event], None]) -> t.Iterator[threading.Event]:
    """Have it answer beside us, until the end or until the event is set."""
    ends = threading.Event()
    thread = threading.Thread(target=answer, args=(ends,))
    thread.start()
    try:
        yield ends
    finally:
        ends.set()
        thread.join()


def test_connections_that_wait_are_slow_and_do_not_fail() -> None:
    """A listening socket that nobody serves for a while: what sockets are held for."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]

        def answer(until: threading.Event) -> None:
            listener.settimeout(0.05)
            while not until.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _address = listener.accept()
                    with client:
                        client.sendall(b"one\n")

        with answering(answer) as first, Load(f"127.0.0.1:{port}", "line") as load:
            first.set()
            time.sleep(AWAY)
            gone = time.monotonic()
            time.sleep(AWAY)
            with answering(answer):
                time.sleep(AWAY)
                seen = load.stop()
        assert seen.failed == {}
        assert seen.slowest >= AWAY * 0.9
        assert seen.gap >= AWAY * 0.9
        assert seen.gap_began + seen.gap >= gone + AWAY


class Wrong(Handler):
    def do_GET(self) -> None:
        if Wrong.is_wrong:
            self.send_error(503)
        else:
            super().do_GET()

    is_wrong = False


def test_other_answers_and_short_ones_are_failures() -> None:
    with serving(Wrong) as port, Load(f"127.0.0.1:{port}", "http") as load:
        Wrong.is_wrong = True
        time.sleep(AWAY)
        Wrong.is_wrong = False
        seen = load.stop()
    (failure,) = seen.failed
    assert "503" in failure


def test_a_server_that_is_not_there(tmp_path: pathlib.Path) -> None:
    load = Load(str(tmp_path / "none"), "line", patience=AWAY)
    with pytest.raises(RuntimeError, match="it ended"), load:
        pass


def test_what_wrk_says() -> None:
    assert Wrk.of(_QUIET) == Wrk(13641, {}, 3.37)
    failed = {"read": 14, "write": 367, "timeout": 2, "other answers": 5}
    assert Wrk.of(_LOUD) == Wrk(43849, failed, 1200.0)
    with pytest.raises(ValueError, match="unable to connect"):
        Wrk.of("unable to connect to 127.0.0.1:8091 Connection refused")


def figures(action: str, *, gap: float, failed: int = 0, has_sockets: bool = False) -> Figures:
    kinds = {"refused": failed} if failed else {}
    return Figures("web:nginx", has_sockets, action, 1, 9, failed, kinds, gap, gap, gap, gap)


def test_what_is_too_much() -> None:
    restart = figures(RESTART, gap=100, failed=3)
    assert too_much([restart, figures(UPGRADE, gap=150, failed=9)]) == []
    (told,) = too_much([restart, figures(UPGRADE, gap=151)])
    assert told == "web:nginx: upgrade: a gap 1.5 times that of a restart"
    kept = figures(BACK, gap=1000, has_sockets=True)
    assert too_much([kept]) == []
    (told,) = too_much([kept._replace(failed=1, kinds={"reset": 1})])
    assert told == "web:nginx: rollback: 1 requests failed: {'reset': 1}"
