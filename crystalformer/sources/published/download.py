"""One file from elsewhere: resumed, verified, from mirrors in turn, and in its place only when it is whole.

What arrives is kept beside the place as `<name>.part`, with what the server said of it in `<name>.part.json`,
so that an interrupted transfer goes on where it was, also in a later session.
"""

import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crystalformer.data.datasets.row import SourceFile
from crystalformer.data.manifest import folder_lock, to_json, write_atomically
from crystalformer.sources.published.verify import Damaged, verified
from crystalformer.sources.records import DataError

if TYPE_CHECKING:
    from requests import Response, Session

CHUNK = 1 << 16  # bytes; of a chunk that is cut off nothing is kept
AGENT = "crystalformer-suite"
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may be others in a moment


class TransferWatcher(Protocol):
    """Told how a transfer goes."""

    def begins(self, name: str, done: int, total: int | None) -> None:
        """A file is on its way; `done` of `total` bytes are here (None: not known)."""

    def advanced(self, name: str, done: int) -> None:
        """So many bytes are here."""

    def ended(self, name: str) -> None:
        """The file is here, or is given up."""

    def message(self, text: str) -> None:
        """Something a reader should know."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, and how often to try an address that answers."""

    contact: float = 4.0  # until some address of the file answers
    answer: float = 20.0  # until an address answers, once one has
    stall: float = 30.0  # until more of the file arrives
    tries: int = 4
    pause: float = 1.0  # before the second try, twice as long before each further


class _Failure(Exception):
    """An address does not give the file; `passing` ones are tried again."""

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def download(
    file: SourceFile,
    folder: Path,
    watcher: TransferWatcher | None = None,
    patience: Patience | None = None,
) -> dict[str, Any] | None:
    """Get a file into the folder; where it came from: `url`, `size`, `sha256`. None: it was there.

    Proxies are taken from the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), certificates from
    REQUESTS_CA_BUNDLE, where these are set.

    Raises:
        DataError: no address gave the file, with the reason of each; or it cannot be stored.
    """
    import requests

    place = folder / file.name
    transfer = _Transfer(file, place, watcher, patience or Patience())
    failures = []
    try:
        with folder_lock(place), requests.Session() as session:
            if place.is_file():  # another process was faster
                return None
            session.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity"})
            for url in file.urls:
                try:
                    return transfer.run(session, url)
                except _Failure as error:
                    failures.append(f"  {url}: {error}")
    except OSError as error:
        raise DataError(
            f"{place}: cannot be stored: {error.strerror or error}; what has arrived is kept, and the same "
            "command goes on"
        ) from error
    finally:
        if watcher is not None:
            watcher.ended(file.name)
    raise DataError("\n".join([f"{file.name} could not be downloaded:", *failures]))


class _Transfer:
    """The attempts to get one file."""

    def __init__(
        self, file: SourceFile, place: Path, watcher: TransferWatcher | None, patience: Patience
    ) -> None:
        self.file = file
        self.place = place
        self.part = place.with_name(f"{place.name}.part")
        self.about = place.with_name(f"{place.name}.part.json")
        self.watcher = watcher
        self.patience = patience
        self.answered = False  # some address has
        self.give_up = time.monotonic() + patience.contact

    def run(self, session: "Session", url: str) -> dict[str, Any]:
        """Try an address until it gives the file or has failed often enough."""
        for attempt in range(self.patience.tries):
            try:
                self._fetch(session, url)
                return self._finish(url)
            except _Failure as error:
                if not error.passing or attempt + 1 == self.patience.tries:
                    raise
                self._say(f"{self.file.name}: {error}; trying again")
                time.sleep(self.patience.pause * 2**attempt)
        raise AssertionError("unreachable")

    def _fetch(self, session: "Session", url: str) -> None:
        """Bring what is missing of the part."""
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        done, known = self._kept()
        headers = {"Range": f"bytes={done}-"} if done else {}
        if done and known.get("etag"):
            headers["If-Range"] = known["etag"]
        with self._answer(session, url, headers) as answer:
            if (
                answer.status_code == 416 and done
            ):  # the part is as long as the file, or longer: it will be verified
                return
            if answer.status_code not in (200, 206):
                raise _Failure(f"answer {answer.status_code} {answer.reason}", answer.status_code in PASSING)
            start, total = _extent(answer, done, known)
            self._remember(answer, total)
            self._check_space(total, start)
            if self.watcher is not None:
                self.watcher.begins(self.file.name, start, total)
            try:
                self._write(answer, start)
            except (RequestException, HTTPError) as error:
                raise _Failure(f"the connection broke off ({_reason(error)})", passing=True) from error
        size = self.part.stat().st_size
        if total is not None and size != total:
            raise _Failure(f"expected {total} bytes, got {size}", passing=True)

    def _write(self, answer: "Response", start: int) -> None:
        with self.part.open("r+b" if start else "wb") as target:
            target.seek(start)
            target.truncate()
            done = start
            for chunk in answer.iter_content(CHUNK):
                target.write(chunk)
                done += len(chunk)
                if self.watcher is not None:
                    self.watcher.advanced(self.file.name, done)
            target.flush()
            os.fsync(target.fileno())

    def _finish(self, url: str) -> dict[str, Any]:
        """Verify the whole part and put it into its place; a wrong one is thrown away."""
        try:
            found = verified(self.file, self.part)
        except Damaged as error:
            self.part.unlink(missing_ok=True)
            self.about.unlink(missing_ok=True)
            raise _Failure(str(error), passing=True) from error
        os.replace(self.part, self.place)
        self.about.unlink(missing_ok=True)
        return {"url": url, **found}

    def _kept(self) -> tuple[int, dict[str, Any]]:
        """How much of the file is here, and what the server said of it; nothing where that is unsafe."""
        if not self.part.is_file():
            return 0, {}
        try:
            known = json.loads(self.about.read_bytes())
        except (OSError, ValueError):
            known = {}
        if not isinstance(known, dict):
            known = {}
        checkable = self.file.sha256 or self.file.md5 or known.get("etag")
        return (self.part.stat().st_size, known) if checkable else (0, {})

    def _remember(self, answer: "Response", total: int | None) -> None:
        etag = answer.headers.get("ETag", "")
        known = {"etag": "" if etag.startswith("W/") else etag, "total": total}
        write_atomically(self.about, to_json(known))

    def _check_space(self, total: int | None, start: int) -> None:
        free = shutil.disk_usage(self.place.parent).free
        if total is not None and total - start > free:
            raise DataError(
                f"{self.place}: expected {(total - start) / 1e6:,.1f} MB of free space, got "
                f"{free / 1e6:,.1f} MB"
            )

    def _answer(self, session: "Session", url: str, headers: dict[str, str]) -> "Response":
        """The answer of an address, awaited in a thread of its own: looking up a name may take any time."""
        from requests import RequestException

        wait = self.patience.answer if self.answered else max(0.1, self.give_up - time.monotonic())
        timeout = (wait, self.patience.stall)
        try:
            answer = _within(
                wait if not self.answered else wait + self.patience.stall,
                lambda: session.get(url, headers=headers, stream=True, timeout=timeout),
            )
        except TimeoutError:
            raise _Failure(f"no answer within {wait:.0f} s", passing=self.answered) from None
        except RequestException as error:
            raise _Failure(f"no connection ({_reason(error)})", passing=self.answered) from error
        self.answered = True
        return answer

    def _say(self, text: str) -> None:
        if self.watcher is not None:
            self.watcher.message(text)


def _extent(answer: "Response", done: int, known: dict[str, Any]) -> tuple[int, int | None]:
    """Where the answer begins in the file, and how long the whole file is."""
    length = answer.headers.get("Content-Length", "")
    whole = int(length) if length.isdecimal() and not answer.headers.get("Content-Encoding") else None
    if answer.status_code == 200:
        return 0, whole
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    extent, _, total = rest.partition("/")
    start = extent.partition("-")[0]
    if unit != "bytes" or not start.isdecimal() or int(start) != done:
        raise _Failure(f"expected the bytes from {done} on, got {rest or 'others'!r}")
    size = int(total) if total.isdecimal() else None
    if known.get("total") and size and known["total"] != size:
        raise _Failure(f"expected a file of {known['total']} bytes, got one of {size}")
    return done, size


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of a call that may take any time, or TimeoutError; a late result is dropped."""
    results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value


def _reason(error: BaseException) -> str:
    """The innermost cause of a chain of errors about a connection, in a few words."""
    inner = list(_chain(error))[-1]
    text = str(getattr(inner, "strerror", None) or inner) or type(inner).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    while error is not None:
        yield error
        following = error.__cause__ or error.__context__
        if following is None:
            return
        error = following
