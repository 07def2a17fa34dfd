"""An S3 server in this process, over HTTP: the part of the protocol that pyarrow's file system speaks.

Whole and multipart uploads (AWS's chunked bodies too), downloads with ranges, heads, listings, removals. It
keeps everything in memory, believes any signature, and serves one bucket.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"
_TIME = "2026-01-01T00:00:00.000Z"


class S3Server:
    """Use it in a `with` block.

    Attributes:
        objects: key -> content.
        down: whether it answers nothing but errors.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.down = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, prefix: str, secret: str = "secret") -> str:
        """The URL of a folder of the bucket, as pyarrow takes it."""
        place = f"127.0.0.1:{self._server.server_port}"
        return f"s3://key:{secret}@{BUCKET}/{prefix}?endpoint_override={place}&scheme=http&region=us-east-1"


class _Handler(BaseHTTPRequestHandler):
    store: S3Server
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        key, query, body = self._request()
        if "partNumber" in query:
            self.store.uploads[query["uploadId"]][int(query["partNumber"])] = body
        elif key:
            self.store.objects[key] = body
        self._answer(200, headers={"ETag": _etag(body)})

    def do_POST(self) -> None:
        key, query, body = self._request()
        if "uploads" in query:
            upload = f"upload{len(self.store.uploads)}"
            self.store.uploads[upload] = {}
            self._xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        elif "uploadId" in query:
            parts = self.store.uploads.pop(query["uploadId"])
            self.store.objects[key] = b"".join(parts[number] for number in sorted(parts))
            self._xml("CompleteMultipartUploadResult", f"<ETag>{_etag(self.store.objects[key])}</ETag>")
        elif "delete" in query:
            for name in re.findall(rb"<Key>(.*?)</Key>", body):
                self.store.objects.pop(name.decode(), None)
            self._xml("DeleteResult", "")

    def do_GET(self) -> None:
        key, query, _ = self._request()
        if not key:
            self._list(query)
            return
        content = self.store.objects.get(key)
        if content is None:
            self._answer(404)
        elif found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2]), len(content) - 1)
            place = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
            self._answer(206, content[first : last + 1], place)
        else:
            self._answer(200, content, {"ETag": _etag(content)})

    def do_HEAD(self) -> None:
        key, _, _ = self._request()
        content = b"" if not key else self.store.objects.get(key)
        headers = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        self._answer(404 if content is None else 200, content or b"", headers)

    def do_DELETE(self) -> None:
        key, _, _ = self._request()
        self.store.objects.pop(key, None)
        self._answer(204)

    def _request(self) -> tuple[str, dict[str, str], bytes]:
        """Key, query and body."""
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b"".join(self._pieces())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            body = b"".join(_chunks(body))
        return key, query, body

    def _pieces(self) -> Iterator[bytes]:
        """The pieces of a body whose length is not known before."""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys, folders = [], set()
        for key in sorted(key for key in self.store.objects if key.startswith(prefix)):
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folders.add(prefix + head + delimiter)
            else:
                keys.append(key)
        keys = keys[: int(query.get("max-keys", 1000))]
        listed = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_TIME}</LastModified>"
            f"<Size>{len(self.store.objects[key])}</Size></Contents>"
            for key in keys
        )
        listed += "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in sorted(folders)
        )
        count = f"<KeyCount>{len(keys) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._xml("ListBucketResult", count + listed)

    def _xml(self, name: str, content: str) -> None:
        self._answer(200, f'<?xml version="1.0"?><{name}>{content}</{name}>'.encode())

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        if self.store.down:
            status, body = 503, b""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def _chunks(body: bytes) -> Iterator[bytes]:
    """The content of an aws-chunked body: pieces with their length in hex, then trailers."""
    while body:
        length, _, body = body.partition(b"\r\n")
        size = int(length.partition(b";")[0], 16)
        if not size:
            return
        yield body[:size]
        body = body[size + 2 :]


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
