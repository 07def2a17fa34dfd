"""A local HTTP server that serves one file and makes the trouble that is asked of it, and a proxy."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import ProxyHandler, build_opener


class TroubledServer(ThreadingHTTPServer):
    """Serves `content` at every path; `/trouble/...` with that trouble, `times` often, then without.

    Troubles: `truncate` closes half-way, `stall` waits half-way, `corrupt` flips a byte, `redirect` leads to
    /ok, `loop` to itself, `ignore-range` answers with the whole file, `wrong-range` with other bytes,
    `no-length` and `gzip` as they say, `web-page` an HTML page, `changed` another file of the same length on
    resuming, `refuse-range` 416, and a number is the status of the answer.
    """

    daemon_threads = True

    def __init__(self, content: bytes, times: int = 1, etag: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.times = times
        self.etag = etag
        self.requests: list[tuple[str, str | None]] = []  # path, Range
        self.troubled = 0
        self.stall_s = 3.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TroubledServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        trouble = self.path.split("/")[1]
        if trouble == "ok" or server.troubled >= server.times:
            return self.serve(server.content)
        server.troubled += 1
        if trouble.isdecimal():
            self.send_response(int(trouble))
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return getattr(self, trouble.replace("-", "_"))()

    def serve(self, content: bytes, send: Any = None, ranges: bool = True, length: bool = True) -> None:
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        given = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, etag)
        start = int(given.removeprefix("bytes=").split("-")[0]) if given and ranges and unchanged else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if length:
            self.send_header("Content-Length", str(len(content) - start))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if self.server.etag:
            self.send_header("ETag", etag)
        self.end_headers()
        (send or self.wfile.write)(content[start:])
        return None

    def half(self, content: bytes) -> None:
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.close_connection = True

    def truncate(self) -> None:
        self.serve(self.server.content, self.half)

    def stall(self) -> None:
        def send(content: bytes) -> None:
            self.half(content)
            time.sleep(self.server.stall_s)

        self.serve(self.server.content, send)

    def corrupt(self) -> None:
        content = bytearray(self.server.content)
        content[len(content) // 3] ^= 0xFF
        self.serve(bytes(content))

    def changed(self) -> None:
        if self.headers.get("Range"):
            self.serve(self.server.content[::-1])
        else:
            self.server.troubled -= 1
            self.truncate()

    def ignore_range(self) -> None:
        self.serve(self.server.content, self.half if not self.headers.get("Range") else None, ranges=False)

    def wrong_range(self) -> None:
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 3-5/{len(self.server.content)}")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(self.server.content[3:6])

    def no_length(self) -> None:
        self.serve(self.server.content, length=False)

    def redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/ok/again")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def loop(self) -> None:
        self.server.troubled -= 1
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def web_page(self) -> None:
        self.serve(b"<!DOCTYPE html><html>please log in</html>")


class Proxy(ThreadingHTTPServer):
    """Fetches what it is asked for; `asked` are the addresses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        port = self.path.split(":")[2].split("/")[0]  # whatever the name of the host, it is served here
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/ok/file") as answer:
            content = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[Any]:
    """The server in a thread, while the context lasts."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
