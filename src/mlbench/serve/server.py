"""The server: who may ask, what, how much; every answer but the page is JSON."""

import contextlib
import ipaddress
import json
import os
import socket
import socketserver
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from mlbench.errors import UserError, complain, tell
from mlbench.predict import Ensemble
from mlbench.serve.about import BODY, about, metrics
from mlbench.serve.answer import ONE_AT_A_TIME, answer
from mlbench.serve.given import parsed
from mlbench.serve.page import page, policy

PATIENCE = 30  # seconds for which a connection may be silent
LINGER = 2  # seconds for which the body of a refused request is read on, so that its sender reads the refusal
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Refused(Exception):
    """A refused request: a status of HTTP and the sentence that its sender reads."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    block_on_close = False

    def __init__(self, ensemble: Ensemble, host: str, port: int, shown: Sequence[str] = ()):
        ensemble.refuse_other_columns()
        self.ensemble = ensemble
        self.shown = shown  # the metrics that the page shows first
        self.host = host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise UserError(
                f"host={host} port={port}: {error.strerror or error}; port=0 picks a free port"
            ) from error
        except OverflowError:
            raise UserError(f"port={port}: should be 0 to 65535") from None

    def server_bind(self) -> None:
        """Binds without the standard library's look-up of this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that closed its connection: that is no fault of the server."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, ConnectionError | TimeoutError):
            tell(error)

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/"

    @cached_property
    def about(self) -> dict[str, Any]:
        return about(self.ensemble)

    @cached_property
    def page(self) -> bytes:
        return page(self.about).encode()

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return metrics(self.ensemble) | {"shown": self.shown}


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mlbench", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        self.respond()

    do_HEAD = do_POST = do_GET

    def respond(self) -> None:
        if self.command != "POST" and self.headers.get("Content-Length", "0") != "0":
            self.close_connection = True  # else an unread body would be parsed as the next request
        try:
            self.check_sender()
            ways: Mapping[str, tuple[str, Callable[[], Any]]] = {
                "/": ("GET", self.give_page),
                "/about": ("GET", lambda: self.give(200, self.server.about)),
                "/metrics": ("GET", self.give_metrics),
                "/predict": ("POST", self.predict),
            }
            path = urlsplit(self.path).path
            if path not in ways:
                raise Refused(404, f"there are {', '.join(ways)} and nothing else")
            method, act = ways[path]
            if self.command not in (method, "HEAD" if method == "GET" else method):
                raise Refused(405, f"{path} takes {method}")
            act()
        except Refused as refused:
            more = {"Allow": str(refused).rpartition(" ")[2]} if refused.status == 405 else {}
            self.refuse(refused.status, str(refused), more)
        except UserError as error:
            self.give(422, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:  # a fault of the server: the terminal shows it, the answer does not
            tell(error)
            self.refuse(500, "this should not happen; the terminal in which mlbench serve runs says what did")

    def check_sender(self) -> None:
        """Refuses what a page of another origin, or a foreign name for this machine, asks."""
        host = self.headers.get("Host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if name not in ("localhost", self.server.host.lower()) and not is_address(name):
            raise Refused(403, "the Host of a request is to be an address, localhost or what host= says")
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, "a page of another origin may not ask")

    def predict(self) -> None:
        body = self.body()
        with ONE_AT_A_TIME:
            answered = answer(self.server.ensemble, parsed(body))
        self.give(200, answered)

    def body(self) -> bytes:
        kind = self.headers.get_content_type()
        if kind != "application/json" or self.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(415, "the body is to be JSON as it is: Content-Type: application/json")
        length = self.length()
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError
        return body

    def length(self) -> int:
        written = self.headers.get("Content-Length", "")
        if not (written.isascii() and written.isdigit()) or "Transfer-Encoding" in self.headers:
            raise Refused(411, "the length of the body is to be said: Content-Length")
        if len(written) > 18 or int(written) > BODY:
            raise Refused(
                413, f"the body is larger than {BODY:,} bytes; mlbench predict reads files of any size"
            )
        return int(written)

    def handle_expect_100(self) -> bool:
        """Refuses a body that is too long before the client sends it."""
        with contextlib.suppress(Refused):
            self.length()
            return super().handle_expect_100()
        self.respond()
        return False

    def give_page(self) -> None:
        more = {"Content-Security-Policy": f"{policy()}; frame-ancestors 'none'"}
        self.send(200, "text/html; charset=utf-8", self.server.page, more)

    def give_metrics(self) -> None:
        with ONE_AT_A_TIME:
            metrics = self.server.metrics
        self.give(200, metrics)

    def give(self, status: int, content: Any, more: Mapping[str, str] = {}) -> None:
        body = json.dumps(content, allow_nan=False).encode()
        self.send(status, "application/json", body, more)

    def send(self, status: int, kind: str, body: bytes, more: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            **HEADERS,
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **more,
        }.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, sentence: str, more: Mapping[str, str] = {}) -> None:
        """Answers a request whose body was not read, and ends the connection, on which the body may stand."""
        self.close_connection = True
        self.give(status, {"error": sentence}, more)
        self.linger()

    def linger(self) -> None:
        """Reads on for a moment: a client that still sends when its connection closes loses the answer."""
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            end = time.monotonic() + LINGER
            while time.monotonic() < end and self.connection.recv(2**16):
                pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what the standard library refuses: an unknown method, a line or header that is too long."""
        if code == 501:
            return self.respond()
        self.command = getattr(self, "command", None) or "GET"
        self.request_version = (
            self.protocol_version
        )  # the answer gets a status line even if the request had none
        self.refuse(code, f"this is no request that can be read ({code})")

    def log_message(self, *_: Any) -> None:
        """Logs nothing: requests belong to the person who sends them."""


def is_address(name: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def serve(ensemble: Ensemble, host: str, port: int, shown: Sequence[str] = ()) -> None:
    """Answers until Ctrl-C or SIGTERM, which end the process at once, in the middle of an answer as well."""
    server = Server(ensemble, host, port, shown)
    if not is_loopback(host):
        complain(f"host={host}: whoever reaches this address may ask; there is no password")
    try:
        print(server.address, flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        complain("stopped")
        sys.stderr.flush()
        os._exit(130)  # the end of an interpreter waits for, or breaks on, threads that compute


def is_loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
