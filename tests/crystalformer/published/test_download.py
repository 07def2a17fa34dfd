"""Downloads from a local server that makes trouble, and files that were copied by hand."""

import errno
import hashlib
import multiprocessing
import random
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from published_files import write_zip
from troubled_server import Proxy, TroubledServer, running

from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.datasets.row import SourceFile
from crystalformer.sources.published import download as module
from crystalformer.sources.published.download import Patience, download
from crystalformer.sources.published.files import Unobtainable, obtain, origins, place, take
from crystalformer.sources.records import DataError

CONTENT = random.Random(0).randbytes(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(contact=5.0, answer=5.0, stall=0.4, tries=3, pause=0.01)


@pytest.fixture
def server() -> Iterator[TroubledServer]:
    with running(TroubledServer(CONTENT)) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def file_at(*urls: str, **known: object) -> SourceFile:
    return SourceFile("crystals.bin", urls, **{"sha256": SHA256, **known})  # type: ignore[arg-type]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


class Watch:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int | None]] = []
        self.last = 0
        self.ends = 0
        self.said: list[str] = []

    def begins(self, name: str, done: int, total: int | None) -> None:
        self.begun.append((done, total))

    def advanced(self, name: str, done: int) -> None:
        self.last = done

    def ended(self, name: str) -> None:
        self.ends += 1

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    "trouble",
    [
        "ok",
        "truncate",
        "stall",
        "corrupt",
        "redirect",
        "500",
        "503",
        "429",
        "no-length",
        "web-page",
        "ignore-range",
    ],
)
def test_a_file_arrives_whole_whatever_happens_once(
    tmp_path: Path, server: TroubledServer, trouble: str
) -> None:
    watch = Watch()
    origin = download(file_at(f"{server.url}/{trouble}/file"), tmp_path, watch, QUICK)
    assert (tmp_path / "crystals.bin").read_bytes() == CONTENT
    assert origin == {"url": f"{server.url}/{trouble}/file", "size": len(CONTENT), "sha256": SHA256}
    assert left(tmp_path) == ["crystals.bin"]
    assert (watch.last, watch.ends) == (len(CONTENT), 1)
    assert bool(watch.said) == (trouble not in ("ok", "redirect", "no-length"))


@pytest.mark.parametrize("trouble", ["truncate", "stall"])
def test_what_has_arrived_is_not_fetched_again(tmp_path: Path, server: TroubledServer, trouble: str) -> None:
    watch = Watch()
    download(file_at(f"{server.url}/{trouble}/file"), tmp_path, watch, QUICK)
    (_, first), (_, second) = server.requests
    assert first is None
    assert second is not None
    resumed = int(second.removeprefix("bytes=").removesuffix("-"))
    assert 0 < resumed <= len(CONTENT) // 2
    assert watch.begun[-1] == (resumed, len(CONTENT))


def test_a_later_session_goes_on(tmp_path: Path, server: TroubledServer) -> None:
    server.times = 3
    with pytest.raises(
        DataError, match=r"crystals.bin could not be downloaded:\n  http://.*the connection broke off"
    ):
        download(file_at(f"{server.url}/truncate/file"), tmp_path, None, QUICK)
    assert left(tmp_path) == ["crystals.bin.part", "crystals.bin.part.json"]
    half = (tmp_path / "crystals.bin.part").stat().st_size
    assert half > len(CONTENT) // 2
    download(file_at(f"{server.url}/truncate/file"), tmp_path, None, QUICK)
    assert server.requests[-1][1] == f"bytes={half}-"
    assert (tmp_path / "crystals.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_that_changed_meanwhile_is_not_glued_together(
    tmp_path: Path, server: TroubledServer, checksum: bool
) -> None:
    """Without a checksum the entity tag tells; the new file is another, and is taken whole."""
    known = {} if checksum else {"sha256": None}
    download(file_at(f"{server.url}/changed/file", **known), tmp_path, None, QUICK)
    found = (tmp_path / "crystals.bin").read_bytes()
    assert found == (CONTENT if checksum else CONTENT[::-1])


def test_without_checksum_and_entity_tag_nothing_is_resumed(tmp_path: Path, server: TroubledServer) -> None:
    server.etag = False
    download(file_at(f"{server.url}/truncate/file", sha256=None), tmp_path, None, QUICK)
    assert [given for _, given in server.requests] == [None, None]
    assert (tmp_path / "crystals.bin").read_bytes() == CONTENT


def test_a_part_that_is_too_long_or_wrong_is_thrown_away(tmp_path: Path, server: TroubledServer) -> None:
    for part in (CONTENT + b"more", b"x" * len(CONTENT), b"x" * 1000):
        (tmp_path / "crystals.bin.part").write_bytes(part)
        download(file_at(f"{server.url}/ok/file"), tmp_path, None, QUICK)
        assert (tmp_path / "crystals.bin").read_bytes() == CONTENT
        (tmp_path / "crystals.bin").unlink()


def test_other_bytes_than_asked_for_are_refused(tmp_path: Path, server: TroubledServer) -> None:
    (tmp_path / "crystals.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(DataError, match="expected the bytes from 1000 on, got '3-5/"):
        download(file_at(f"{server.url}/wrong-range/file"), tmp_path, None, QUICK)


def test_mirrors_are_tried_in_turn(tmp_path: Path, server: TroubledServer) -> None:
    server.times = 100
    urls = [f"{server.url}/{trouble}/file" for trouble in ("404", "corrupt", "403", "ok")]
    assert download(file_at(*urls), tmp_path, None, QUICK)["url"] == urls[-1]
    assert [path.split("/")[1] for path, _ in server.requests] == ["404", *["corrupt"] * 3, "403", "ok"]


def test_every_address_is_named_with_its_reason(tmp_path: Path, server: TroubledServer) -> None:
    server.times = 100
    urls = [f"{server.url}/{trouble}/file" for trouble in ("404", "500", "corrupt", "loop")]
    with pytest.raises(DataError) as caught:
        download(file_at(*urls), tmp_path, None, QUICK)
    lines = str(caught.value).splitlines()
    assert lines[0] == "crystals.bin could not be downloaded:"
    reasons = [
        "answer 404 Not Found",
        "answer 500 Internal Server Error",
        f"expected SHA-256 {SHA256}, got",
        "Exceeded 30 redirects",
    ]
    for line, url, reason in zip(lines[1:], urls, reasons, strict=True):
        assert line.startswith(f"  {url}: ")
        assert reason in line
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"<!DOCTYPE html><p>log in", "got a web page"),
        (b"", "an empty one"),
        (b"PK\x03\x04 no archive", "a whole archive"),
        (b"\x1f\x8b\x08 no gzip", "a whole archive"),
    ],
)
def test_without_a_checksum_the_file_must_be_whole(
    tmp_path: Path, server: TroubledServer, content: bytes, complaint: str
) -> None:
    server.content = content
    with pytest.raises(DataError, match=complaint):
        download(file_at(f"{server.url}/no-length/file", sha256=None), tmp_path, None, QUICK)
    assert left(tmp_path) == []


def test_nobody_there_is_found_out_quickly(tmp_path: Path) -> None:
    with socket.socket() as unused, socket.socket() as silent:
        unused.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)  # takes the connection and says nothing
        urls = [f"http://127.0.0.1:{s.getsockname()[1]}/file" for s in (unused, silent, silent, silent)]
        started = time.monotonic()
        with pytest.raises(
            DataError, match=r"no connection \(Connection refused\)\n  http://.*\(timed out\)\n"
        ):
            download(
                file_at(*urls, "http://no.such.host.invalid/file"),
                tmp_path,
                None,
                replace(QUICK, contact=0.5),
            )
        assert time.monotonic() - started < 60  # of addresses times patience times tries, it would be more


def test_a_name_that_takes_long_to_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(60))
    with pytest.raises(DataError, match="no answer within"):
        download(file_at("http://slow.invalid/file"), tmp_path, None, replace(QUICK, contact=0.3))


def test_proxies_are_taken_from_the_environment(
    tmp_path: Path, server: TroubledServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(Proxy()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        url = f"http://data.invalid:{server.server_address[1]}/crystals.bin"
        download(file_at(url), tmp_path, None, QUICK)
        assert proxy.asked == [url]
        assert (tmp_path / "crystals.bin").read_bytes() == CONTENT
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (tmp_path / "direct").mkdir()
        download(file_at(f"{server.url}/ok/file"), tmp_path / "direct", None, QUICK)
        assert proxy.asked == [url]


def test_a_full_disk(tmp_path: Path, server: TroubledServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        patch.setattr(module.shutil, "disk_usage", lambda path: usage)
        with pytest.raises(DataError, match=r"expected 0\.4 MB of free space, got 0\.0 MB"):
            download(file_at(f"{server.url}/ok/file"), tmp_path, None, QUICK)
    assert not (tmp_path / "crystals.bin").exists()
    with monkeypatch.context() as patch:
        real = Path.open

        def full(self: Path, mode: str = "r", *rest: object, **more: object) -> object:
            if self.name.endswith(".part") and "r" not in mode:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(self, mode, *rest, **more)  # type: ignore[arg-type]

        patch.setattr(Path, "open", full)
        with pytest.raises(
            DataError, match="cannot be stored: No space left on device; what has arrived is kept"
        ):
            download(file_at(f"{server.url}/ok/file"), tmp_path, None, QUICK)
    assert not (tmp_path / "crystals.bin").exists()
    download(file_at(f"{server.url}/ok/file"), tmp_path, None, QUICK)


def fetch(url: str, folder: Path) -> None:
    obtain(one_file(url), one_file(url).parts, folder, None, QUICK)


def one_file(*urls: str) -> Dataset:
    known = DATASETS["jarvis-dft-3d-2021"]
    file = SourceFile("crystals.bin", urls, sha256=SHA256)
    return replace(known, parts=(replace(known.parts[0], files=(file,)),))


def test_two_processes_fetch_a_file_once(tmp_path: Path, server: TroubledServer) -> None:
    spawned = multiprocessing.get_context("fork")
    processes = [spawned.Process(target=fetch, args=(f"{server.url}/ok/file", tmp_path)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(server.requests) == 1


def test_the_origin_of_a_file_is_remembered(tmp_path: Path, server: TroubledServer) -> None:
    dataset = one_file(f"{server.url}/404/file", f"{server.url}/ok/file")
    folder, files = obtain(dataset, dataset.parts, tmp_path, None, QUICK)
    assert folder == place(tmp_path, dataset)
    assert files == {"crystals.bin": {"url": f"{server.url}/ok/file", "size": len(CONTENT), "sha256": SHA256}}
    server.requests.clear()
    assert obtain(dataset, dataset.parts, tmp_path, None, QUICK) == (folder, files)
    assert server.requests == []


def test_what_is_missing_is_said(tmp_path: Path, server: TroubledServer) -> None:
    server.times = 100
    dataset = DATASETS["mp-2018.6.1"]
    parts = tuple(
        replace(
            part, files=tuple(replace(file, urls=(f"{server.url}/404/{file.name}",)) for file in part.files)
        )
        for part in dataset.parts
    )
    with pytest.raises(
        Unobtainable, match=r"mp-2018\.6\.1: megnet.json.zip could not be downloaded"
    ) as caught:
        obtain(dataset, parts, tmp_path, None, QUICK)
    assert len(caught.value.files) == 7
    assert len(server.requests) == 1


def test_a_file_copied_by_hand(tmp_path: Path) -> None:
    dataset = DATASETS["jarvis-dft-3d-2021"]
    brought = write_zip(tmp_path / "dft_3d.zip", [])
    assert [file.name for file in take(dataset, [brought], tmp_path / "data")] == [
        "jdft_3d-8-18-2021.json.zip"
    ]
    folder = place(tmp_path / "data", dataset)
    assert (folder / "jdft_3d-8-18-2021.json.zip").read_bytes() == brought.read_bytes()
    assert brought.is_file()
    assert origins(folder)["jdft_3d-8-18-2021.json.zip"]["url"] == "copied by hand"


def test_several_files_are_told_apart_by_name(tmp_path: Path) -> None:
    dataset, names = DATASETS["perov-5"], ["perov_5_train.csv", "perov_5_val.csv", "perov_5_test.csv"]
    for name in [*names[:2], "notes.txt"]:
        (tmp_path / name).write_text("material_id,cif\n")
    assert [file.name for file in take(dataset, [tmp_path], tmp_path / "data")] == names[:2]
    with pytest.raises(
        DataError, match=r"notes.txt: expected a file named perov_5_train.csv or .* told apart by name"
    ):
        take(dataset, [tmp_path / "notes.txt"], tmp_path / "data")
    with pytest.raises(DataError, match="got nothing of that name"):
        take(dataset, [tmp_path / "absent.csv"], tmp_path / "data")
    with pytest.raises(DataError, match=r"expected a folder with perov_5_train\.csv or"):
        take(dataset, [tmp_path / "data"], tmp_path / "data")


def test_a_wrong_file_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mp_20_train.csv").write_text("material_id,cif\n")
    with pytest.raises(DataError, match=r"mp_20_train\.csv: expected SHA-256 133bab58"):
        take(DATASETS["mp-20"], [tmp_path / "mp_20_train.csv"], tmp_path / "data")
    assert left(place(tmp_path / "data", DATASETS["mp-20"])) == []
