"""An HTTP server for this machine alone, which only reads."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import threading
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes

from vision_evals.cli.serve.pages import Pages
from vision_evals.core.errors import UserError
from vision_evals.report.scripts import policy_of

LOOPBACK = "127.0.0.1"

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)
# A page elsewhere may point a name of its own at this machine: its requests have that name.

_SECONDS = 10.0


class Server(ThreadingHTTPServer):
    """Answers on this machine alone."""

    request_queue_size = 256
    """Connections that may wait; of more, the system refuses some."""

    def __init__(self, pages: Pages, port: int) -> None:
        """Listen.

        Args:
            pages: to answer with.
            port: 0 for any that is free.

        Raises:
            UserError: the port is taken, or not allowed.
        """
        self.pages = pages
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(
                f"--port {port}: {error.strerror}; name another one, or 0 for any free port"
            ) from None

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless the reader only left."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SECONDS

    def setup(self) -> None:
        """Give a request so long in all: a byte now and then does not hold the connection."""
        super().setup()
        self.deadline = threading.Timer(_SECONDS, self._read_no_more)
        self.deadline.daemon = True
        self.deadline.start()

    def _read_no_more(self) -> None:
        with contextlib.suppress(OSError):  # who asked may have left
            self.connection.shutdown(socket.SHUT_RD)

    def finish(self) -> None:
        """Stop its clock."""
        self.deadline.cancel()
        super().finish()

    def do_GET(self) -> None:
        """Answer with a page."""
        try:
            html = self._page()
        except UserError as error:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except Exception:  # noqa: BLE001 - the server survives a page that fails
            traceback.print_exc()
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "this page cannot be made")
        else:
            if html is None:
                self.send_error(HTTPStatus.NOT_FOUND, "there is no such page; / lists the runs")
            else:
                self._answer(HTTPStatus.OK, "text/html", html, policy_of(html))

    do_HEAD = do_GET

    def parse_request(self) -> bool:
        """Refuse requests that do not read, or that do not name this machine as localhost."""
        if not super().parse_request():
            return False
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].strip()):
            self.send_error(HTTPStatus.FORBIDDEN, "this server is for localhost alone")
        elif self._embedded():
            self.send_error(HTTPStatus.FORBIDDEN, "no other page may load this one into itself")
        elif self.command not in {"GET", "HEAD"}:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "nothing can be changed here")
        else:
            return True
        return False

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with a sentence in plain text."""
        del explain
        self.close_connection = True
        text = message or HTTPStatus(code).phrase
        self._answer(HTTPStatus(code), "text/plain", text + "\n", "default-src 'none'")

    def version_string(self) -> str:
        """Return the name of the program, without its version and Python's."""
        return "vision-evals"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Log no request."""

    def _embedded(self) -> bool:
        """Whether another site's page loads this one, and not a reader who follows its link."""
        site, use = (self.headers.get(f"Sec-Fetch-{name}") for name in ("Site", "Dest"))
        return site in {"cross-site", "same-site"} and use != "document"

    def _page(self) -> str | None:
        """Return the page of the path, which is never used as a path on the disk."""
        match self.path.partition("?")[0].split("/"):
            case ["", ""]:
                return self.server.pages.index()
            case ["", "run", name] | ["", "run", name, ""]:
                return self.server.pages.run(os.fsdecode(unquote_to_bytes(name)))
            case ["", "check", key, ""]:
                return self.server.pages.check(key)
        return None

    def _answer(self, status: HTTPStatus, kind: str, text: str, policy: str) -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            # Frames are forbidden here: a page cannot say so of itself.
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET, HEAD"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
